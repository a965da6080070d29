// The attention window for 16 images at a time, one image per lane: eqs 27 and 29 and their gradients.
//
// Arrays are [numbers][16 lanes]. The reference is draw/attention/window.py; names are the same.
// Of several windows a step, controls and patches stand one window after another, as in
// draw/attention/movable.py.
#pragma once

#include "filters.h"

namespace draw {

// A matrix of vectors with strides, so that one product serves all transpositions.
template <class R> struct View {
  Vec<R> *at;
  int64_t row, column;
  Vec<R> &operator()(int64_t i, int64_t j) const { return at[i * row + j * column]; }
};
template <class R> View<R> view(Vec<R> *at, int64_t columns) { return {at, columns, 1}; }
template <class R> View<R> flipped(Vec<R> *at, int64_t columns) { return {at, 1, columns}; }

constexpr int64_t TILE_ROWS = 6, TILE_COLUMNS = 4;  // their sums fill the registers

// One tile: C[i : i + I, j : j + J] (+)= A[i : i + I, :] B[:, j : j + J].
template <int I, int J, class R>
inline void tile_product(int64_t K, View<R> A, View<R> B, View<R> C, int64_t i, int64_t j,
                         bool add) {
  Vec<R> total[I][J] = {};
  for (int64_t k = 0; k < K; k++) {
    Vec<R> b[J];
    for (int q = 0; q < J; q++) b[q] = B(k, j + q);
    for (int p = 0; p < I; p++) {
      const Vec<R> a = A(i + p, k);
      for (int q = 0; q < J; q++) total[p][q] += a * b[q];
    }
  }
#pragma GCC unroll 8  // or the sums would pass through memory
  for (int p = 0; p < I; p++)
    for (int q = 0; q < J; q++) {
      Vec<R> &to = C(i + p, j + q);
      to = add ? to + total[p][q] : total[p][q];
    }
}

// The tile of `rows` x `columns`, at most I x J.
template <int I, int J, class R>
inline void some_tile(int64_t rows, int64_t columns, int64_t K, View<R> A, View<R> B, View<R> C,
                      int64_t i, int64_t j, bool add) {
  if constexpr (I > 1) {
    if (rows < I) return some_tile<I - 1, J>(rows, columns, K, A, B, C, i, j, add);
  }
  if constexpr (J > 1) {
    if (columns < J) return some_tile<I, J - 1>(rows, columns, K, A, B, C, i, j, add);
  }
  tile_product<I, J>(K, A, B, C, i, j, add);
}

// The first of the parts of `left`, as few and as equal as can be, of at most `most` each.
inline int64_t first_part(int64_t left, int64_t most) {
  const int64_t parts = (left + most - 1) / most;
  return (left + parts - 1) / parts;
}

// C[M, N] (+)= A[M, K] B[K, N], for every lane.
template <class R>
inline void lanes_product(int64_t M, int64_t N, int64_t K, View<R> A, View<R> B, View<R> C,
                          bool add) {
  for (int64_t i = 0, rows; i < M; i += rows) {
    rows = first_part(M - i, TILE_ROWS);
    for (int64_t j = 0, columns; j < N; j += columns) {
      columns = first_part(N - j, TILE_COLUMNS);
      some_tile<TILE_ROWS, TILE_COLUMNS>(rows, columns, K, A, B, C, i, j, add);
    }
  }
}

// Scratch of one window: its filters and their gradients, and half-contracted patches.
template <class R> struct WindowSpace {
  Vec<R> *F_y, *F_x, *dF_y, *dF_x, *half, *other_half, *image;
  template <class Arena> void reserve(Arena &arena, const Grid &grid) {
    for (Vec<R> **filters : {&F_y, &dF_y}) *filters = arena.template take<Vec<R>>(grid.N * grid.rows);
    for (Vec<R> **filters : {&F_x, &dF_x})
      *filters = arena.template take<Vec<R>>(grid.N * grid.columns);
    for (Vec<R> **patch : {&half, &other_half})
      *patch = arena.template take<Vec<R>>(grid.N * grid.columns);
    image = arena.template take<Vec<R>>(grid.rows * grid.columns);
  }
};

template <class R>
inline void both_filterbanks(const Window<R> &window, const Grid &grid, WindowSpace<R> &space) {
  with_filter(grid.filters, [&](auto filter) {
    using Filter = decltype(filter);
    filterbank<Filter, R>(window.g_y, window, grid.N, grid.rows, space.F_y);
    filterbank<Filter, R>(window.g_x, window, grid.N, grid.columns, space.F_x);
  });
}

// dcontrols[5] from the gradients of both filter banks; the intensity enters as gamma^power.
template <class R>
inline void controls_backward(const Vec<R> *controls, const Window<R> &window, const Grid &grid,
                              int power, const WindowSpace<R> &space, Vec<R> *dcontrols) {
  Slope<R> along_y, along_x;
  with_filter(grid.filters, [&](auto filter) {
    using Filter = decltype(filter);
    filterbank_backward<Filter, R>(window.g_y, window, grid.N, grid.rows, space.F_y, space.dF_y,
                                   along_y);
    filterbank_backward<Filter, R>(window.g_x, window, grid.N, grid.columns, space.F_x,
                                   space.dF_x, along_x);
  });
  Vec<R> through = {};  // the patch is linear in F_x, so <F_x, dF_x> = <patch, dpatch>
  for (int64_t a = 0; a < grid.N * grid.columns; a++) through += space.F_x[a] * space.dF_x[a];
  const auto inside = [&](int which, R limit, Vec<R> slope) {
    const Vec<R> value = controls[which];
    return value < -limit || value > limit ? Vec<R>{} : slope;
  };
  dcontrols[0] = inside(0, R(MAX_CENTRE), R(grid.columns + 1) / 2 * along_x.g);
  dcontrols[1] = inside(1, R(MAX_CENTRE), R(grid.rows + 1) / 2 * along_y.g);
  dcontrols[2] = inside(2, R(MAX_LOG), along_y.log_sigma2 + along_x.log_sigma2);
  dcontrols[3] = inside(3, R(MAX_LOG), (along_y.delta + along_x.delta) * window.delta);
  dcontrols[4] = inside(4, R(MAX_LOG), R(power) * through);
}

// The filter banks of a read window; dF_x gets gamma F_x.
template <class R>
inline void reading_filterbanks(const Window<R> &window, const Grid &grid, WindowSpace<R> &space) {
  both_filterbanks(window, grid, space);
  for (int64_t a = 0; a < grid.N * grid.columns; a++) space.dF_x[a] = window.gamma * space.F_x[a];
}

// patch = gamma F_y image F_x^T of one channel.
template <class R>
inline void patch_of(const Grid &grid, Vec<R> *image, Vec<R> *patch, WindowSpace<R> &space) {
  const int64_t N = grid.N, B = grid.rows, S = grid.columns;
  const View<R> half = view<R>(space.half, S);
  lanes_product(N, S, B, view<R>(space.F_y, B), view<R>(image, S), half, false);
  lanes_product(N, N, S, half, flipped<R>(space.dF_x, S), view<R>(patch, N), false);
}

// From the gradient of F_y image F_x^T to those of both filter banks, added to what is there if
// `more`; half gets dpatch F_x, of which the image's gradient is made.
template <class R>
inline void patch_backward(const Grid &grid, Vec<R> *image, Vec<R> *dpatch, bool more,
                           WindowSpace<R> &space) {
  const int64_t N = grid.N, B = grid.rows, S = grid.columns;
  const View<R> half = view<R>(space.half, S);
  lanes_product(N, S, B, view<R>(space.F_y, B), view<R>(image, S), half, false);
  lanes_product(N, S, N, flipped<R>(dpatch, N), half, view<R>(space.dF_x, S), more);
  lanes_product(N, S, N, view<R>(dpatch, N), view<R>(space.F_x, S), half, false);
  lanes_product(N, B, S, half, flipped<R>(image, S), view<R>(space.dF_y, B), more);
}

// image (+)= F_y^T half.
template <class R>
inline void spread(const Grid &grid, Vec<R> *image, bool add, WindowSpace<R> &space) {
  const int64_t B = grid.rows, S = grid.columns;
  lanes_product(B, S, grid.N, flipped<R>(space.F_y, B), view<R>(space.half, S), view<R>(image, S),
                add);
}

// r = gamma [F_y x F_x^T, F_y (x - s) F_x^T] for every window and channel (eq 27).
template <class R>
inline void read(const Vec<R> *controls, const Grid &grid, Vec<R> *x, Vec<R> *s, Vec<R> *r,
                 WindowSpace<R> &space) {
  const int64_t area = grid.rows * grid.columns, patch = grid.N * grid.N;
  for (int64_t head = 0; head < grid.heads; head++) {
    reading_filterbanks(place<R>(controls, grid), grid, space);
    for (int64_t c = 0; c < grid.channels; c++) {
      Vec<R> *of_x = r + c * patch, *of_error = r + (grid.channels + c) * patch;
      patch_of(grid, x + c * area, of_x, space);
      patch_of(grid, s + c * area, of_error, space);
      for (int64_t a = 0; a < patch; a++) of_error[a] = of_x[a] - of_error[a];
    }
    controls += CONTROLS;
    r += 2 * grid.patch();
  }
}

// Gradients of `read`: adds to dcanvas through s = sigmoid(canvas), and to dx where it is wanted.
template <class R>
inline void read_backward(const Vec<R> *controls, const Grid &grid, Vec<R> *x, Vec<R> *s,
                          Vec<R> *dr, Vec<R> *dcontrols, Vec<R> *dcanvas, Vec<R> *dx,
                          WindowSpace<R> &space) {
  const int64_t area = grid.rows * grid.columns, patch = grid.N * grid.N;
  for (int64_t head = 0; head < grid.heads; head++) {
    const Window<R> window = place<R>(controls, grid);
    both_filterbanks(window, grid, space);
    for (int64_t c = 0; c < grid.channels; c++) {
      // r_x = gamma F_y x F_x^T, r_error = r_x - gamma F_y s F_x^T: x gets both gradients' sum
      Vec<R> *of_x = dr + c * patch, *of_s = dr + (grid.channels + c) * patch;
      for (int64_t a = 0; a < patch; a++) {
        of_x[a] = window.gamma * (of_x[a] + of_s[a]);
        of_s[a] = -window.gamma * of_s[a];
      }
      Vec<R> *channel = s + c * area, *to = dcanvas + c * area;
      patch_backward(grid, x + c * area, of_x, c > 0, space);
      if (dx) spread(grid, dx + c * area, true, space);
      patch_backward(grid, channel, of_s, true, space);
      spread(grid, space.image, false, space);
      for (int64_t a = 0; a < area; a++) to[a] += channel[a] * (1 - channel[a]) * space.image[a];
    }
    controls_backward(controls, window, grid, 1, space, dcontrols);
    controls += CONTROLS, dcontrols += CONTROLS;
    dr += 2 * grid.patch();
  }
}

// r = gamma F_y x F_x^T for every window and channel (eq 27, of one image).
template <class R>
inline void look(const Vec<R> *controls, const Grid &grid, Vec<R> *x, Vec<R> *r,
                 WindowSpace<R> &space) {
  for (int64_t head = 0; head < grid.heads; head++) {
    reading_filterbanks(place<R>(controls, grid), grid, space);
    for (int64_t c = 0; c < grid.channels; c++)
      patch_of(grid, x + c * grid.rows * grid.columns, r + c * grid.N * grid.N, space);
    controls += CONTROLS;
    r += grid.patch();
  }
}

// Gradients of `look`; dr is scaled in place, dx is added to where it is wanted.
template <class R>
inline void look_backward(const Vec<R> *controls, const Grid &grid, Vec<R> *x, Vec<R> *dr,
                          Vec<R> *dcontrols, Vec<R> *dx, WindowSpace<R> &space) {
  const int64_t area = grid.rows * grid.columns, patch = grid.N * grid.N;
  for (int64_t head = 0; head < grid.heads; head++) {
    const Window<R> window = place<R>(controls, grid);
    both_filterbanks(window, grid, space);
    for (int64_t a = 0; a < grid.channels * patch; a++) dr[a] *= window.gamma;
    for (int64_t c = 0; c < grid.channels; c++) {
      patch_backward(grid, x + c * area, dr + c * patch, c > 0, space);
      if (dx) spread(grid, dx + c * area, true, space);
    }
    controls_backward(controls, window, grid, 1, space, dcontrols);
    controls += CONTROLS, dcontrols += CONTROLS;
    dr += grid.patch();
  }
}

// canvas += (1/gamma) F_y^T w F_x for every window and channel (eq 29).
template <class R>
inline void write(const Vec<R> *controls, const Grid &grid, Vec<R> *w, Vec<R> *canvas,
                  WindowSpace<R> &space) {
  const int64_t N = grid.N, B = grid.rows, S = grid.columns;
  const View<R> half = view<R>(space.half, S);
  for (int64_t head = 0; head < grid.heads; head++) {
    const Window<R> window = place<R>(controls, grid);
    both_filterbanks(window, grid, space);
    const Vec<R> scale = 1 / window.gamma;
    for (int64_t a = 0; a < N * B; a++) space.F_y[a] *= scale;
    for (int64_t c = 0; c < grid.channels; c++) {
      lanes_product(N, S, N, view<R>(w + c * N * N, N), view<R>(space.F_x, S), half, false);
      spread(grid, canvas + c * B * S, true, space);
    }
    controls += CONTROLS;
    w += grid.patch();
  }
}

// Gradients of `write`: dw and the controls', from dcanvas, which passes on unchanged.
template <class R>
inline void write_backward(const Vec<R> *controls, const Grid &grid, Vec<R> *w, Vec<R> *dcanvas,
                           Vec<R> *dw, Vec<R> *dcontrols, WindowSpace<R> &space) {
  const int64_t N = grid.N, B = grid.rows, S = grid.columns;
  const View<R> F_y = view<R>(space.F_y, B), F_x = view<R>(space.F_x, S);
  const View<R> half = view<R>(space.half, S), dhalf = view<R>(space.other_half, S);
  for (int64_t head = 0; head < grid.heads; head++) {
    const Window<R> window = place<R>(controls, grid);
    both_filterbanks(window, grid, space);
    const Vec<R> scale = 1 / window.gamma;
    for (int64_t c = 0; c < grid.channels; c++) {
      const View<R> patch = view<R>(w + c * N * N, N), dimage = view<R>(dcanvas + c * B * S, S);
      lanes_product(N, S, N, patch, F_x, half, false);
      for (int64_t a = 0; a < N * S; a++) space.half[a] *= scale;
      lanes_product(N, B, S, half, flipped<R>(dimage.at, S), view<R>(space.dF_y, B), c > 0);
      lanes_product(N, S, B, F_y, dimage, dhalf, false);
      for (int64_t a = 0; a < N * S; a++) space.other_half[a] *= scale;
      lanes_product(N, N, S, dhalf, flipped<R>(space.F_x, S), view<R>(dw + c * N * N, N), false);
      lanes_product(N, S, N, flipped<R>(w + c * N * N, N), dhalf, view<R>(space.dF_x, S), c > 0);
    }
    controls_backward(controls, window, grid, -1, space, dcontrols);
    controls += CONTROLS, dcontrols += CONTROLS;
    w += grid.patch(), dw += grid.patch();
  }
}

}  // namespace draw
