// A model's weights as right operands of its products, packed once per sequence.
#pragma once

#include "layout.h"

namespace draw {

// Weights packed for y = x B.
template <class L> struct ForwardWeights {
  using Op = typename L::Operand;
  using R = Real<Op>;
  Packed<Op> of[PRODUCTS];

  void reserve(Arena &arena, const L &l) {
    for (const Which which : l.EACH)
      if (l.has(which)) {
        const int64_t depth = l.depth(which), columns = l.columns(which);
        of[which] = {arena.take<Op>(depth * columns), depth, columns};
      }
  }
  // To be called by all threads of a parallel region.
  void pack(const L &l, R *const *parameters) {
    for (const Which which : l.EACH) {
      if (!l.has(which)) continue;
      const Packed<Op> &to = of[which];
#pragma omp for schedule(static)
      for (int64_t j = 0; j < to.blocks(); j++) {
        std::memset(static_cast<void *>(to.block(j)), 0, to.K * to.width(j) * sizeof(Op));
        for (int64_t group = j * BLOCK / LANES; group < (j * BLOCK + to.width(j)) / LANES; group++)
          l.weights(which, parameters, [&](int64_t first, int64_t length, auto row) {
            pack_columns(to, group, first, length, row);
          });
      }
    }
  }
};

// Weights packed for dx = dy B.
template <class L> struct BackwardWeights {
  using Op = typename L::Operand;
  using R = Real<Op>;
  Packed<Op> of[PRODUCTS];

  void reserve(Arena &arena, const L &l) {
    for (const Which which : l.EACH)
      if (l.has(which)) {
        const int64_t columns = l.depth(which);
        of[which] = {arena.take<Op>(l.columns(which) * columns), l.columns(which), columns};
      }
  }
  // To be called by all threads of a parallel region.
  void pack(const L &l, R *const *parameters) {
    for (const Which which : l.EACH) {
      if (!l.has(which)) continue;
      const Packed<Op> &to = of[which];
#pragma omp for schedule(static)
      for (int64_t j = 0; j < to.blocks(); j++)
        std::memset(static_cast<void *>(to.block(j)), 0, to.K * to.width(j) * sizeof(Op));
#pragma omp for schedule(static)
      for (int64_t group = 0; group < to.K / LANES; group++)
        l.weights(which, parameters, [&](int64_t first, int64_t length, auto row) {
          pack_rows(to, group, first, length, row);
        });
    }
  }
};

}  // namespace draw
