// The LSTM cell between two matrix products, and its gradient.
//
// Gates of 16 units lie together, [i f g o] x 16 units, so that one block of 64 columns of a
// product holds everything that these units need while it is still in the cache.
#pragma once

#include "gemm.h"

namespace draw {

// Row of a torch LSTM weight (gate order i, f, g, o) that column n of the packed product holds.
struct GateColumn {
  int64_t hidden;
  int64_t operator()(int64_t n) const {
    const int64_t unit = n / BLOCK * LANES + n % LANES, gate = n % BLOCK / LANES;
    return unit < hidden ? gate * hidden + unit : -1;
  }
};

// One block of units for `rows` images: from the product's 64 columns to the new state.
//
// bias: [64]; more: null, or what to add to the product, [rows][stride_more]; c: the cell, updated
// in place; unit_mask: null, or what the output is multiplied by, [rows][stride_c]; h: the new output
// as operand, gates and c_saved: what the gradient needs, or null.
template <class Op>
inline void lstm_block(int64_t rows, const Real<Op> *from_product, const Real<Op> *bias, const Real<Op> *more,
                       int64_t stride_more, Real<Op> *c, int64_t stride_c,
                       const Real<Op> *unit_mask, Op *h, int64_t stride_h, Op *gates,
                       int64_t stride_gates, Op *c_saved) {
  using R = Real<Op>;
  Vec<R> b[4];
  for (int gate = 0; gate < 4; gate++) b[gate] = load(bias + gate * LANES);
  for (int64_t row = 0; row < rows; row++) {
    Vec<R> v[4];
    for (int gate = 0; gate < 4; gate++) {
      v[gate] = load(from_product + row * BLOCK + gate * LANES) + b[gate];
      if (more) v[gate] += load(more + row * stride_more + gate * LANES);
    }
    const Vec<R> i = sigmoid(v[0]), f = sigmoid(v[1]), g = tanh(v[2]), o = sigmoid(v[3]);
    const Vec<R> cell = f * load(c + row * stride_c) + i * g;
    store(c + row * stride_c, cell);
    Vec<R> out = o * tanh(cell);
    if (unit_mask) out *= load(unit_mask + row * stride_c);
    store(h + row * stride_h, out);
    if (gates) {
      Op *saved = gates + row * stride_gates;
      store(saved, i);
      store(saved + LANES, f);
      store(saved + 2 * LANES, g);
      store(saved + 3 * LANES, o);
      store(c_saved + row * stride_c, cell);
    }
  }
}

template <class R> struct GateSlopes {
  Vec<R> gate[4];
};

// One row of a block of units, backwards. dc: gradient of the cell, updated in place; unit_mask: as
// forward, of this row.
template <class Op>
inline GateSlopes<Real<Op>> lstm_row_backward(const Op *gates, const Op *c, const Op *c_before,
                                       const Real<Op> *dh, const Real<Op> *unit_mask,
                                       Real<Op> *dc) {
  using R = Real<Op>;
  const Vec<R> i = load(gates), f = load(gates + LANES), g = load(gates + 2 * LANES),
               o = load(gates + 3 * LANES);
  const Vec<R> out = tanh(load(c));
  Vec<R> slope = load(dh);
  if (unit_mask) slope *= load(unit_mask);
  const Vec<R> dcell = load(dc) + slope * o * (1 - out * out);
  store(dc, Vec<R>(dcell * f));
  return {{dcell * g * i * (1 - i), dcell * load(c_before) * f * (1 - f), dcell * i * (1 - g * g),
           slope * out * o * (1 - o)}};
}

// One block of units for `rows` images (an even number), backwards.
//
// dgates: [rows][stride_dgates] as operand of the next product; panel: the same numbers as right
// operand of the weights' gradient, from row `k` of a packed block on; dsum: null, or where to add
// them, [rows][stride_dgates].
template <class Op>
inline void lstm_block_backward(int64_t rows, const Op *gates, int64_t stride_gates, const Op *c,
                                const Op *c_before, int64_t stride_c, const Real<Op> *dh,
                                int64_t stride_dh, const Real<Op> *unit_mask, Real<Op> *dc,
                                Op *dgates, int64_t stride_dgates, Op *panel, int64_t k, Real<Op> *dsum) {
  using R = Real<Op>;
  for (int64_t row = 0; row < rows; row += 2) {
    GateSlopes<R> pair[2];
    for (int64_t p = 0; p < 2; p++) {
      const int64_t at = row + p;
      pair[p] = lstm_row_backward(gates + at * stride_gates, c + at * stride_c,
                                  c_before + at * stride_c, dh + at * stride_dh,
                                  unit_mask ? unit_mask + at * stride_c : nullptr, dc + at * stride_c);
      for (int gate = 0; gate < 4; gate++) {
        store(dgates + at * stride_dgates + gate * LANES, pair[p].gate[gate]);
        if (dsum) {
          R *total = dsum + at * stride_dgates + gate * LANES;
          store(total, Vec<R>(load(total) + pair[p].gate[gate]));
        }
      }
    }
    for (int gate = 0; gate < 4; gate++)
      store_rows(panel, BLOCK, k + row, gate * LANES, pair[0].gate[gate], pair[1].gate[gate]);
  }
}

}  // namespace draw
