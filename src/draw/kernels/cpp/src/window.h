// The attention window for 16 images at a time, one image per lane: eqs 27 and 29 and their gradients.
//
// Arrays are [numbers][16 lanes]. The reference is draw/attention/window.py; names are the same.
// Of several windows a step, controls and patches stand one window after another, as in
// draw/attention/movable.py. A window that turns is taken part by part (`part_of`).
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

// The filter banks of part j of a window.
template <class R>
inline void both_filterbanks(const Window<R> &window, const Grid &grid, int64_t j,
                             WindowSpace<R> &space) {
  const Part<R> part = part_of(window, grid, j);
  with_filter(grid.filters, [&](auto filter) {
    using Filter = decltype(filter);
    filterbank<Filter, R>(part.y, window.inverse_sigma, grid.N, grid.rows, space.F_y);
    filterbank<Filter, R>(part.x, window.inverse_sigma, grid.N, grid.columns, space.F_x);
  });
}

// From the gradients of both filter banks of part j to those of what places the window.
template <class R>
inline void filterbanks_backward(const Window<R> &window, const Grid &grid, int64_t j,
                                 const WindowSpace<R> &space, WindowSlope<R> &slope) {
  const Part<R> part = part_of(window, grid, j);
  Slope<R> along_y, along_x;
  with_filter(grid.filters, [&](auto filter) {
    using Filter = decltype(filter);
    filterbank_backward<Filter, R>(part.y, window.inverse_sigma, grid.N, grid.rows, space.F_y,
                                   space.dF_y, along_y);
    filterbank_backward<Filter, R>(part.x, window.inverse_sigma, grid.N, grid.columns, space.F_x,
                                   space.dF_x, along_x);
  });
  part_backward(window, grid, j, along_y, along_x, slope);
  for (int64_t a = 0; a < grid.N * grid.columns; a++)
    slope.through += space.F_x[a] * space.dF_x[a];
}

// dcontrols from the gradients of what places a window; the intensity enters as gamma^power.
template <class R>
inline void controls_backward(const Vec<R> *controls, const Window<R> &window, const Grid &grid,
                              int power, const WindowSlope<R> &slope, Vec<R> *dcontrols) {
  const auto inside = [&](int which, R limit, Vec<R> slope) {
    const Vec<R> value = controls[which];
    return value < -limit || value > limit ? Vec<R>{} : slope;
  };
  dcontrols[0] = inside(0, R(MAX_CENTRE), R(grid.columns + 1) / 2 * slope.g_x);
  dcontrols[1] = inside(1, R(MAX_CENTRE), R(grid.rows + 1) / 2 * slope.g_y);
  dcontrols[2] = inside(2, R(MAX_LOG), slope.log_sigma2);
  dcontrols[3] = inside(3, R(MAX_LOG), slope.delta * window.delta);
  dcontrols[4] = inside(4, R(MAX_LOG), R(power) * slope.through);
  if (grid.turns()) dcontrols[5] = inside(5, R(MAX_CENTRE), slope.angle);
}

// The filter banks of part j of a read window; dF_x gets gamma F_x.
template <class R>
inline void reading_filterbanks(const Window<R> &window, const Grid &grid, int64_t j,
                                WindowSpace<R> &space) {
  both_filterbanks(window, grid, j, space);
  for (int64_t a = 0; a < grid.N * grid.columns; a++) space.dF_x[a] = window.gamma * space.F_x[a];
}

// A part of a patch from its filters along one side, and the other way round. In a window that turns
// filter i along one side goes with filter i along the other only, so that of a product over all
// pairs the diagonal is left.

// w = half F_x^T.
template <class R>
inline void to_part(const Grid &grid, Vec<R> *half, Vec<R> *F_x, Vec<R> *w) {
  const int64_t N = grid.N, S = grid.columns;
  if (!grid.turns())
    return lanes_product(N, N, S, view<R>(half, S), flipped<R>(F_x, S), view<R>(w, N), false);
  for (int64_t i = 0; i < N; i++) {
    Vec<R> total = {};
    for (int64_t a = i * S; a < (i + 1) * S; a++) total += half[a] * F_x[a];
    w[i] = total;
  }
}

// to (+)= w from, w an upright window's N x N as it lies or flipped.
template <class R>
inline void from_part(const Grid &grid, View<R> w, Vec<R> *from, Vec<R> *to, bool add) {
  const int64_t N = grid.N, S = grid.columns;
  if (!grid.turns()) return lanes_product(N, S, N, w, view<R>(from, S), view<R>(to, S), add);
  for (int64_t i = 0; i < N; i++)
    for (int64_t a = i * S; a < (i + 1) * S; a++)
      to[a] = add ? to[a] + w.at[i] * from[a] : w.at[i] * from[a];
}

// patch = gamma F_y image F_x^T of one channel.
template <class R>
inline void patch_of(const Grid &grid, Vec<R> *image, Vec<R> *patch, WindowSpace<R> &space) {
  const int64_t N = grid.N, B = grid.rows, S = grid.columns;
  lanes_product(N, S, B, view<R>(space.F_y, B), view<R>(image, S), view<R>(space.half, S), false);
  to_part<R>(grid, space.half, space.dF_x, patch);
}

// From the gradient of F_y image F_x^T to those of both filter banks, added to what is there if
// `more`; half gets dpatch F_x, of which the image's gradient is made.
template <class R>
inline void patch_backward(const Grid &grid, Vec<R> *image, Vec<R> *dpatch, bool more,
                           WindowSpace<R> &space) {
  const int64_t N = grid.N, B = grid.rows, S = grid.columns;
  const View<R> half = view<R>(space.half, S);
  lanes_product(N, S, B, view<R>(space.F_y, B), view<R>(image, S), half, false);
  from_part<R>(grid, flipped<R>(dpatch, N), space.half, space.dF_x, more);
  from_part<R>(grid, view<R>(dpatch, N), space.F_x, space.half, false);
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
    const Window<R> window = place<R>(controls, grid);
    for (int64_t j = 0; j < grid.parts(); j++) {
      reading_filterbanks(window, grid, j, space);
      for (int64_t c = 0; c < grid.channels; c++) {
        Vec<R> *of_x = r + c * patch + j * grid.N, *of_error = of_x + grid.patch();
        patch_of(grid, x + c * area, of_x, space);
        patch_of(grid, s + c * area, of_error, space);
        for (int64_t a = 0; a < grid.of_part(); a++) of_error[a] = of_x[a] - of_error[a];
      }
    }
    controls += grid.placing();
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
    WindowSlope<R> slope;
    for (int64_t j = 0; j < grid.parts(); j++) {
      both_filterbanks(window, grid, j, space);
      for (int64_t c = 0; c < grid.channels; c++) {
        // r_x = gamma F_y x F_x^T, r_error = r_x - gamma F_y s F_x^T: x gets both gradients' sum
        Vec<R> *of_x = dr + c * patch + j * grid.N, *of_s = of_x + grid.patch();
        for (int64_t a = 0; a < grid.of_part(); a++) {
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
      filterbanks_backward(window, grid, j, space, slope);
    }
    controls_backward(controls, window, grid, 1, slope, dcontrols);
    controls += grid.placing(), dcontrols += grid.placing();
    dr += 2 * grid.patch();
  }
}

// r = gamma F_y x F_x^T for every window and channel (eq 27, of one image).
template <class R>
inline void look(const Vec<R> *controls, const Grid &grid, Vec<R> *x, Vec<R> *r,
                 WindowSpace<R> &space) {
  for (int64_t head = 0; head < grid.heads; head++) {
    const Window<R> window = place<R>(controls, grid);
    for (int64_t j = 0; j < grid.parts(); j++) {
      reading_filterbanks(window, grid, j, space);
      for (int64_t c = 0; c < grid.channels; c++)
        patch_of(grid, x + c * grid.rows * grid.columns, r + (c * grid.N + j) * grid.N, space);
    }
    controls += grid.placing();
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
    WindowSlope<R> slope;
    for (int64_t a = 0; a < grid.channels * patch; a++) dr[a] *= window.gamma;
    for (int64_t j = 0; j < grid.parts(); j++) {
      both_filterbanks(window, grid, j, space);
      for (int64_t c = 0; c < grid.channels; c++) {
        patch_backward(grid, x + c * area, dr + c * patch + j * grid.N, c > 0, space);
        if (dx) spread(grid, dx + c * area, true, space);
      }
      filterbanks_backward(window, grid, j, space, slope);
    }
    controls_backward(controls, window, grid, 1, slope, dcontrols);
    controls += grid.placing(), dcontrols += grid.placing();
    dr += grid.patch();
  }
}

// canvas += (1/gamma) F_y^T w F_x for every window and channel (eq 29).
template <class R>
inline void write(const Vec<R> *controls, const Grid &grid, Vec<R> *w, Vec<R> *canvas,
                  WindowSpace<R> &space) {
  const int64_t N = grid.N, B = grid.rows, S = grid.columns;
  for (int64_t head = 0; head < grid.heads; head++) {
    const Window<R> window = place<R>(controls, grid);
    const Vec<R> scale = 1 / window.gamma;
    for (int64_t j = 0; j < grid.parts(); j++) {
      both_filterbanks(window, grid, j, space);
      for (int64_t a = 0; a < N * B; a++) space.F_y[a] *= scale;
      for (int64_t c = 0; c < grid.channels; c++) {
        from_part<R>(grid, view<R>(w + (c * N + j) * N, N), space.F_x, space.half, false);
        spread(grid, canvas + c * B * S, true, space);
      }
    }
    controls += grid.placing();
    w += grid.patch();
  }
}

// Gradients of `write`: dw and the controls', from dcanvas, which passes on unchanged.
template <class R>
inline void write_backward(const Vec<R> *controls, const Grid &grid, Vec<R> *w, Vec<R> *dcanvas,
                           Vec<R> *dw, Vec<R> *dcontrols, WindowSpace<R> &space) {
  const int64_t N = grid.N, B = grid.rows, S = grid.columns;
  const View<R> F_y = view<R>(space.F_y, B);
  const View<R> half = view<R>(space.half, S), dhalf = view<R>(space.other_half, S);
  for (int64_t head = 0; head < grid.heads; head++) {
    const Window<R> window = place<R>(controls, grid);
    const Vec<R> scale = 1 / window.gamma;
    WindowSlope<R> slope;
    for (int64_t j = 0; j < grid.parts(); j++) {
      both_filterbanks(window, grid, j, space);
      for (int64_t c = 0; c < grid.channels; c++) {
        Vec<R> *patch = w + (c * N + j) * N;
        const View<R> dimage = view<R>(dcanvas + c * B * S, S);
        from_part<R>(grid, view<R>(patch, N), space.F_x, space.half, false);
        for (int64_t a = 0; a < N * S; a++) space.half[a] *= scale;
        lanes_product(N, B, S, half, flipped<R>(dimage.at, S), view<R>(space.dF_y, B), c > 0);
        lanes_product(N, S, B, F_y, dimage, dhalf, false);
        for (int64_t a = 0; a < N * S; a++) space.other_half[a] *= scale;
        to_part<R>(grid, space.other_half, space.F_x, dw + (c * N + j) * N);
        from_part<R>(grid, flipped<R>(patch, N), space.other_half, space.dF_x, c > 0);
      }
      filterbanks_backward(window, grid, j, space, slope);
    }
    controls_backward(controls, window, grid, -1, slope, dcontrols);
    controls += grid.placing(), dcontrols += grid.placing();
    w += grid.patch(), dw += grid.patch();
  }
}

}  // namespace draw
