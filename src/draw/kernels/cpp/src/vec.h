// Vectors of 16 lanes, their elementary functions, and the number types they are stored in.
//
// A lane is an image in the window's code and an LSTM unit in the cells' code. The vectors are
// GCC's and Clang's generic ones, so the same source serves AVX-512, AVX2, NEON and the rest.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__SSE__)
#include <immintrin.h>
#endif

namespace draw {

constexpr int LANES = 16;

template <class Real> struct VecOf {
  typedef Real type __attribute__((vector_size(LANES * sizeof(Real))));
};
template <class Real> using Vec = typename VecOf<Real>::type;
using Int = VecOf<int32_t>::type;
using Word = VecOf<uint32_t>::type;
using Half = VecOf<uint16_t>::type;

// bfloat16: the upper half of a float.
struct Bf16 {
  uint16_t bits;
};

// A number in [0, 1] in steps of 1/65535, for the saved sigmoid: finer than bfloat16 near 1.
struct Unit16 {
  uint16_t bits;
};

template <class V> inline V load_raw(const void *from) {
  V value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline Word upper_halves(Vec<float> v) {  // round to nearest even
  Word u;
  std::memcpy(&u, &v, sizeof u);
  return (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
}

inline Vec<float> load(const float *from) { return load_raw<Vec<float>>(from); }
inline Vec<double> load(const double *from) { return load_raw<Vec<double>>(from); }
inline Vec<float> load(const Bf16 *from) {
  const Word wide = __builtin_convertvector(load_raw<Half>(from), Word) << 16;
  return load_raw<Vec<float>>(&wide);
}
inline Vec<float> load(const Unit16 *from) {
  const Int wide = __builtin_convertvector(load_raw<Half>(from), Int);
  return __builtin_convertvector(wide, Vec<float>) * (1.0f / 65535.0f);
}

inline void store(float *to, Vec<float> v) { std::memcpy(to, &v, sizeof v); }
inline void store(double *to, Vec<double> v) { std::memcpy(to, &v, sizeof v); }
inline void store(Bf16 *to, Vec<float> v) {
#if defined(__AVX512BF16__)
  const __m256bh half = _mm512_cvtneps_pbh((__m512)v);
  std::memcpy(to, &half, sizeof half);
#else
  const Half half = __builtin_convertvector(upper_halves(v), Half);
  std::memcpy(to, &half, sizeof half);
#endif
}
inline void store(Unit16 *to, Vec<float> v) {
  const Int wide = __builtin_convertvector(v * 65535.0f + 0.5f, Int);
  const Half half = __builtin_convertvector(wide, Half);
  std::memcpy(to, &half, sizeof half);
}

// The first n lanes; the others are zero.
template <class T> inline auto load_part(const T *from, int64_t n) {
  if (n >= LANES) return load(from);
  T lanes[LANES] = {};
  std::memcpy(lanes, from, n * sizeof(T));
  return load(lanes);
}

template <class T, class V> inline void store_part(T *to, V v, int64_t n) {
  if (n >= LANES) {
    store(to, v);
  } else {
    T lanes[LANES];
    store(lanes, v);
    std::memcpy(to, lanes, n * sizeof(T));
  }
}

template <class Real> inline Vec<Real> splat(Real value) { return Vec<Real>{} + value; }

template <class V> inline auto sum(V v) {
  auto total = v[0];
  for (int lane = 1; lane < LANES; lane++) total += v[lane];
  return total;
}

// Limits that let NaN through.
template <class V, class Real> inline V clamp(V v, Real low, Real high) {
  v = v < low ? V{} + low : v;
  return v > high ? V{} + high : v;
}

// Within 2 units in the last place; 0 below -87, infinite above 88.37.
inline Vec<float> exp(Vec<float> x) {
  const Vec<float> held = clamp(x, -87.0f, 89.0f);
  const Vec<float> n = (held * 1.44269504f + 12582912.0f) - 12582912.0f;
  const Vec<float> r = (held - n * 0.693359375f) - n * -2.12194440e-4f;
  Vec<float> p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Int exponent = (__builtin_convertvector(n, Int) + 127) << 23;
  p *= load_raw<Vec<float>>(&exponent);
  return x < -87.0f ? Vec<float>{} : p;
}
inline Vec<double> exp(Vec<double> x) {
  for (int lane = 0; lane < LANES; lane++) x[lane] = std::exp(x[lane]);
  return x;
}

// One lane after another: they are called a few times a step.
template <class R> struct CosSin {
  Vec<R> cos, sin;
};
template <class R> inline CosSin<R> cos_sin(Vec<R> x) {
  CosSin<R> of;
  for (int lane = 0; lane < LANES; lane++) {
    of.cos[lane] = std::cos(x[lane]);
    of.sin[lane] = std::sin(x[lane]);
  }
  return of;
}

template <class V> inline V sigmoid(V x) { return 1 / (1 + exp(-x)); }
template <class V> inline V tanh(V x) { return 1 - 2 / (1 + exp(2 * x)); }

// One stage of a transposition: swaps the blocks of S lanes that lie off the diagonal.
template <int S, class V, int... L>
inline void swap_blocks(V &a, V &b, std::integer_sequence<int, L...>) {
  const V low = __builtin_shufflevector(a, b, ((L & S) ? LANES + L - S : L)...);
  const V high = __builtin_shufflevector(a, b, ((L & S) ? LANES + L : L + S)...);
  a = low;
  b = high;
}
template <int S, class V> inline void transpose_stage(V *v) {
  for (int i = 0; i < LANES; i++)
    if (!(i & S)) swap_blocks<S>(v[i], v[i + S], std::make_integer_sequence<int, LANES>{});
}

// Transposes 16 vectors in place: lane j of vector i becomes lane i of vector j.
template <class V> inline void transpose(V *v) {
  transpose_stage<1>(v);
  transpose_stage<2>(v);
  transpose_stage<4>(v);
  transpose_stage<8>(v);
}

}  // namespace draw
