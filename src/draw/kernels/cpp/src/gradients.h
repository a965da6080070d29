// The gradients of a model's weights: products over many steps and images at once.
#pragma once

#include "weights.h"

namespace draw {

constexpr int64_t CHUNK = 512;  // rows (steps x images) of one product of the weights' gradient

// 16 rows of `count` numbers to columns [0, 16) of `to`.
template <class Op>
inline void transpose_operand(const Op *from, int64_t stride, int64_t count, Op *to,
                              int64_t to_stride) {
  for (int64_t j = 0; j < count; j += LANES) {
    Vec<Real<Op>> tile[LANES];
    for (int64_t i = 0; i < LANES; i++) tile[i] = load_part(from + i * stride + j, count - j);
    transpose(tile);
    for (int64_t i = 0; i < std::min<int64_t>(LANES, count - j); i++)
      store(to + (j + i) * to_stride, tile[i]);
  }
}

// to[count]: the sum of `rows` rows.
template <class R>
inline void sum_rows(const R *from, int64_t stride, int64_t rows, int64_t count, R *to) {
  std::fill(to, to + count, R(0));
  for (int64_t row = 0; row < rows; row++)
    for (int64_t j = 0; j < count; j++) to[j] += from[row * stride + j];
}

template <class L> struct WeightGradients {
  using Op = typename L::Operand;
  using R = Real<Op>;
  Packed<Op> panels[PRODUCTS];   // gradients of the products, as right operands: [rows, columns]
  Packed<R> weights[PRODUCTS];   // [depth, columns]
  R *bias[PRODUCTS];

  // rows: of the panels, by product.
  template <class Rows> void reserve(Arena &arena, const L &l, Rows rows) {
    for (const Which which : l.EACH) {
      if (!l.has(which)) continue;
      const int64_t columns = l.columns(which), depth = l.depth(which);
      bias[which] = arena.take<R>(columns);
      panels[which] = {arena.take<Op>(rows(which) * columns), rows(which), columns};
      weights[which] = {arena.take<R>(depth * columns), depth, columns};
    }
  }

  // Puts 16 columns of rows k and k + 1 (k even) into a panel.
  void store_in_panel(Which which, int64_t k, int64_t column, Vec<R> first, Vec<R> second) {
    const Packed<Op> &to = panels[which];
    const int64_t j = column / BLOCK;
    store_rows(to.block(j), to.width(j), k, column % BLOCK, first, second);
  }

  // The same, and into two rows of an operand.
  void store_pair(Which which, Op *rows, int64_t k, int64_t column, Vec<R> first, Vec<R> second) {
    store(rows + column, first);
    store(rows + panels[which].N + column, second);
    store_in_panel(which, k, column, first, second);
  }

  // From one image per lane to rows of an operand, and to rows [k, k + 16) of a panel.
  void from_lanes(Which which, const Vec<R> *lanes, Op *rows, int64_t k) {
    const int64_t columns = panels[which].N;
    for (int64_t j = 0; j < columns; j += LANES) {
      Vec<R> tile[LANES];
      std::copy(lanes + j, lanes + j + LANES, tile);
      transpose(tile);
      for (int64_t i = 0; i < LANES; i += 2)
        store_pair(which, rows + i * columns, k + i, j, tile[i], tile[i + 1]);
    }
  }

  // The product of operands [depth, rows] and rows [k, k + count) of a panel, and its column sums.
  void accumulate(Which which, int64_t j, const Op *operand, int64_t stride, int64_t k,
                  int64_t count, bool add) {
    const Packed<Op> &from = panels[which];
    const Packed<R> &to = weights[which];
    const Op *panel = from.block(j) + k * from.width(j);
    gemm(to.K, to.width(j), count, operand, stride, panel, to.block(j), to.width(j), add);
    R *sums = bias[which] + j * BLOCK;
    if (!add) std::fill(sums, sums + to.width(j), R(0));
    add_columns(panel, to.width(j), count, sums);
  }

  static void add_columns(const Op *panel, int64_t width, int64_t rows, R *sums) {
    for (int64_t column = 0; column < width; column += LANES) {
      Vec<R> total = load(sums + column);
      for (int64_t k = 0; k < rows; k += 2) {
        if constexpr (PAIR<Op> == 2) {
          const Word pairs = load_raw<Word>(panel + k * width + 2 * column);
          const Word first = pairs << 16, second = pairs & 0xffff0000u;
          total += load_raw<Vec<R>>(&first) + load_raw<Vec<R>>(&second);
        } else {
          total += load(panel + k * width + column) + load(panel + (k + 1) * width + column);
        }
      }
      store(sums + column, total);
    }
  }

  // Writes the gradients in the order of torch's parameters. To be called by all threads.
  void give_out(const L &l, R *const *gradients) {
    for (const Which which : l.EACH) {
      if (!l.has(which)) continue;
#pragma omp for schedule(static) nowait
      for (int64_t group = 0; group < l.columns(which) / LANES; group++)
        l.weights(which, gradients, [&](int64_t first, int64_t length, auto row) {
          unpack_columns(weights[which], group, first, length, row);
        });
#pragma omp single nowait
      l.biases(which, gradients, [&](int64_t column, R *first, R *second) {
        *first = bias[which][column];
        if (second) *second = *first;
      });
    }
  }
};

}  // namespace draw
