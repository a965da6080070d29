// Matrix products on packed weights: C (+)= A B with A and C row by row and B packed here.
//
// The products themselves are oneDNN's micro-kernels, which torch exports as `brgemm` (AMX,
// AVX-512 and AVX2 by what the processor has); plain loops stand in for types it does not serve.
#pragma once

#include <omp.h>

#include <algorithm>
#include <vector>

#include "vec.h"

namespace draw {

using GemmFloat = void (*)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool,
                           const float *, const float *, float *, bool);
using GemmBf16 = void (*)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool,
                          const Bf16 *, const Bf16 *, float *, bool);
using GemmRelease = void (*)(bool);
struct Products {
  GemmFloat of_floats = nullptr;
  GemmBf16 of_bf16 = nullptr;
  GemmRelease release = nullptr;
};
inline Products products;

// How many rows of B lie side by side: processors multiply bfloat16 in pairs.
template <class Op> constexpr int PAIR = 1;
template <> constexpr int PAIR<Bf16> = 2;

// What numbers are computed in, by the type of the operands.
template <class Op> struct RealOf {
  using type = Op;
};
template <> struct RealOf<Bf16> {
  using type = float;
};
template <class Op> using Real = typename RealOf<Op>::type;

inline float number(float x) { return x; }
inline double number(double x) { return x; }
inline float number(Bf16 x) {
  const uint32_t wide = uint32_t{x.bits} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

// C[M, N] (+)= A[M, K] B[K, N] for one block of columns; B's rows are N apart, in groups of PAIR.
template <class Op>
inline void plain_gemm(int64_t M, int64_t N, int64_t K, const Op *A, int64_t lda, const Op *B,
                       Real<Op> *C, int64_t ldc, bool add) {
  for (int64_t m = 0; m < M; m++) {
    Real<Op> *row = C + m * ldc;
    if (!add) std::fill(row, row + N, Real<Op>(0));
    for (int64_t k = 0; k < K; k++) {
      const Real<Op> a = number(A[m * lda + k]);
      const Op *b = B + (k / PAIR<Op>)*PAIR<Op> * N + k % PAIR<Op>;
      for (int64_t n = 0; n < N; n++) row[n] += a * number(b[n * PAIR<Op>]);
    }
  }
}
template <class Op>
inline void gemm(int64_t M, int64_t N, int64_t K, const Op *A, int64_t lda, const Op *B,
                 Real<Op> *C, int64_t ldc, bool add) {
  if constexpr (std::is_same_v<Op, float>) {
    if (products.of_floats) return products.of_floats(M, N, K, lda, N, ldc, add, A, B, C, false);
  }
  if constexpr (std::is_same_v<Op, Bf16>) {
    if (products.of_bf16) return products.of_bf16(M, N, K, lda, N, ldc, add, A, B, C, true);
  }
  plain_gemm(M, N, K, A, lda, B, C, ldc, add);
}

// The largest difference between torch's products and the plain loops, over odd and even shapes.
template <class Op> inline double products_error() {
  double worst = 0;
  const int64_t shapes[][3] = {{64, 64, 516}, {33, 36, 70}, {16, 8, 2}, {100, 48, 512}};
  for (const auto &[M, N, K] : shapes) {
    const int64_t lda = K + 6, ldc = N + 3;
    std::vector<Op> A(M * lda), B(K * N);
    std::vector<float> ours(M * ldc, 0.5f), theirs(M * ldc, 0.5f);
    uint32_t chance = 1;
    for (std::vector<Op> *matrix : {&A, &B})
      for (Op &element : *matrix) {
        chance = chance * 1664525u + 1013904223u;
        const float value = float(int32_t(chance)) / 2147483648.0f;
        if constexpr (PAIR<Op> == 2) {
          std::memcpy(&element, reinterpret_cast<const char *>(&value) + 2, 2);
        } else {
          element = value;
        }
      }
    for (const bool add : {false, true}) {
      gemm(M, N, K, A.data(), lda, B.data(), theirs.data(), ldc, add);
      plain_gemm(M, N, K, A.data(), lda, B.data(), ours.data(), ldc, add);
      for (int64_t i = 0; i < M * ldc; i++) {
        const double difference = std::abs(double(ours[i]) - theirs[i]);
        worst = difference <= worst ? worst : difference;  // NaN counts as worst
      }
    }
  }
  if (products.release) products.release(true);
  return worst;
}

// GFLOP/s of all threads together, each multiplying one block that stays in its cache.
template <class Op> inline double products_speed(int64_t repeats) {
  constexpr int64_t M = 64, N = 64, K = 512;
  const int threads = omp_get_max_threads();
  const double began = omp_get_wtime();
#pragma omp parallel num_threads(threads)
  {
    std::vector<Op> A(M * K), B(K * N);
    std::vector<float> C(M * N);
    for (int64_t i = 0; i < repeats; i++)
      gemm(M, N, K, A.data(), K, B.data(), C.data(), N, false);
    if (products.release) products.release(true);
  }
  return 2e-9 * M * N * K * repeats * threads / (omp_get_wtime() - began);
}

constexpr int64_t BLOCK = 64;  // columns of a packed block: an LSTM's four gates of 16 units
inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// B[K, N] in blocks of 64 columns, each [K / PAIR][columns][PAIR].
template <class Op> struct Packed {
  Op *data;
  int64_t K, N;
  int64_t blocks() const { return (N + BLOCK - 1) / BLOCK; }
  int64_t width(int64_t block) const { return std::min(BLOCK, N - block * BLOCK); }
  Op *block(int64_t block) const { return data + block * BLOCK * K; }
};

// C[M, B.N] (+)= A[M, B.K] B.
template <class Op>
inline void product(int64_t M, const Op *A, int64_t lda, const Packed<Op> &B, Real<Op> *C,
                    int64_t ldc, bool add) {
  for (int64_t j = 0; j < B.blocks(); j++)
    gemm(M, B.width(j), B.K, A, lda, B.block(j), C + j * BLOCK, ldc, add);
}

// bfloat16 of two rows, side by side.
inline Word pairs_of(Vec<float> first, Vec<float> second) {
#if defined(__AVX512BF16__)
  const __m512bh rounded = _mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
  Half half[2];
  std::memcpy(half, &rounded, sizeof half);
  return __builtin_convertvector(half[0], Word) | (__builtin_convertvector(half[1], Word) << 16);
#else
  return upper_halves(first) | (upper_halves(second) << 16);
#endif
}

// Stores 16 columns of rows k and k + 1 (k even) into a block that is `width` columns wide.
template <class Op>
inline void store_rows(Op *block, int64_t width, int64_t k, int64_t column, Vec<Real<Op>> first,
                       Vec<Real<Op>> second) {
  if constexpr (PAIR<Op> == 2) {
    const Word pairs = pairs_of(first, second);
    std::memcpy(static_cast<void *>(block + k * width + 2 * column), &pairs, sizeof pairs);
  } else {
    store(block + k * width + column, first);
    store(block + (k + 1) * width + column, second);
  }
}

// A 16 x 16 tile: row i is `length` numbers from rows[i], or zeros where that is null.
template <class R> struct Tile {
  Vec<R> row[LANES];
};
template <class R>
inline Tile<R> load_tile(const R *const *rows, int64_t offset, int64_t length) {
  Tile<R> tile;
  for (int i = 0; i < LANES; i++)
    tile.row[i] = rows[i] ? load_part(rows[i] + offset, length - offset) : Vec<R>{};
  return tile;
}

// Packs columns [16 group, 16 group + 16) of B for y = x B: column n of B is weight row `row(n)`,
// whose `length` numbers become rows [first, first + length) of B.
template <class Op, class Row>
inline void pack_columns(const Packed<Op> &B, int64_t group, int64_t first, int64_t length,
                         Row row) {
  using R = Real<Op>;
  const R *rows[LANES];
  for (int i = 0; i < LANES; i++) rows[i] = row(group * LANES + i);
  const int64_t j = group * LANES / BLOCK, column = group * LANES % BLOCK;
  for (int64_t k = 0; k < length; k += LANES) {
    Tile<R> tile = load_tile(rows, k, length);
    transpose(tile.row);
    for (int64_t i = 0; i < std::min<int64_t>(LANES, round_up(length - k, 2)); i += 2)
      store_rows(B.block(j), B.width(j), first + k + i, column, tile.row[i], tile.row[i + 1]);
  }
}

// Packs rows [16 group, 16 group + 16) of B for dx = dy B: row n of B is weight row `row(n)`,
// whose `length` numbers become columns [first, first + length) of B.
template <class Op, class Row>
inline void pack_rows(const Packed<Op> &B, int64_t group, int64_t first, int64_t length, Row row) {
  using R = Real<Op>;
  for (int i = 0; i < LANES; i += 2) {
    const int64_t n = group * LANES + i;
    const R *a = row(n), *b = row(n + 1);
    for (int64_t k = 0; k < length;) {
      const int64_t j = (first + k) / BLOCK, column = (first + k) % BLOCK;
      const int64_t room = std::min<int64_t>({LANES, length - k, B.width(j) - column});
      const Vec<R> va = a ? load_part(a + k, room) : Vec<R>{};
      const Vec<R> vb = b ? load_part(b + k, room) : Vec<R>{};
      Op pairs[2 * LANES];
      store_rows(pairs, LANES, 0, 0, va, vb);
      Op *to = B.block(j) + n * B.width(j) + column * PAIR<Op>;
      std::memcpy(static_cast<void *>(to), pairs, room * PAIR<Op> * sizeof(Op));
      if constexpr (PAIR<Op> == 1)
        std::memcpy(to + B.width(j), pairs + LANES, room * sizeof(Op));
      k += room;
    }
  }
}

// The reverse of pack_columns for a gradient: block `group * 16 / 64` of C is [C.K][columns].
template <class R, class Row>
inline void unpack_columns(const Packed<R> &C, int64_t group, int64_t first, int64_t length,
                           Row row) {
  const int64_t j = group * LANES / BLOCK, column = group * LANES % BLOCK;
  for (int64_t k = 0; k < length; k += LANES) {
    Vec<R> tile[LANES];
    for (int64_t i = 0; i < LANES; i++)
      tile[i] = i < length - k ? load(C.block(j) + (first + k + i) * C.width(j) + column)
                               : Vec<R>{};
    transpose(tile);
    for (int64_t i = 0; i < LANES; i++)
      if (R *to = row(group * LANES + i)) store_part(to + k, tile[i], length - k);
  }
}

}  // namespace draw
