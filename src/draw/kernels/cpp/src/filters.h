// The place and the filters of a window for 16 images at a time, one image per lane: eqs 19-26 and
// their gradients. The reference is draw/attention/window.py and the files of other filters beside
// it; names are the same.
#pragma once

#include <algorithm>
#include <limits>

#include "vec.h"

namespace draw {

constexpr double MAX_LOG = 20, MAX_CENTRE = 1e4;  // as in draw/attention/window.py
constexpr int CONTROLS = 5;                       // g~_X, g~_Y, log sigma^2, log delta~, log gamma

// The kinds of filters; none: no window. They are draw/attention's, of the same names.
#define DRAW_FILTERS(EACH) EACH(none) EACH(gaussian) EACH(cauchy) EACH(laplace)
#define DRAW_ENTRY(name) name,
enum class Filters : int64_t { DRAW_FILTERS(DRAW_ENTRY) };

struct Grid {  // what windows look at, their side N in filters, how many a step has, their kind
  int64_t channels, rows, columns, N, heads;
  Filters filters;
  int64_t pixels() const { return channels * rows * columns; }
  int64_t patch() const { return channels * N * N; }  // of one window
  int64_t patches() const { return heads * patch(); }
  int64_t controls() const { return heads * CONTROLS; }
};

template <class R> struct Window {
  Vec<R> g_x, g_y, delta, inverse_sigma, gamma;
};

template <class R> Window<R> place(const Vec<R> *controls, const Grid &grid) {  // (21-24)
  const auto centre = [](Vec<R> v) { return clamp(v, R(-MAX_CENTRE), R(MAX_CENTRE)); };
  const auto log = [](Vec<R> v) { return clamp(v, R(-MAX_LOG), R(MAX_LOG)); };
  const R stride = R(std::max(grid.columns, grid.rows) - 1) / R(std::max<int64_t>(grid.N - 1, 1));
  return {R(grid.columns + 1) / 2 * (centre(controls[0]) + 1),
          R(grid.rows + 1) / 2 * (centre(controls[1]) + 1), stride * exp(log(controls[3])),
          exp(R(-0.5) * log(controls[2])), exp(log(controls[4]))};
}

// What a filter is, of the distance from its centre in units of sigma: `weight` before they are
// normalised, or for an EXPONENTIAL one its logarithm, and `fall`, less the derivative of that
// logarithm. KINK: whether `fall` jumps at 0.
struct GaussianFilter {  // exp(-d^2 / 2)
  static constexpr bool EXPONENTIAL = true, KINK = false;
  template <class R> static Vec<R> weight(Vec<R> d) { return R(-0.5) * d * d; }
  template <class R> static Vec<R> fall(Vec<R> d) { return d; }
};
struct CauchyFilter {  // 1 / (1 + d^2)
  static constexpr bool EXPONENTIAL = false, KINK = false;
  template <class R> static Vec<R> weight(Vec<R> d) { return 1 / (1 + d * d); }
  template <class R> static Vec<R> fall(Vec<R> d) { return 2 * d / (1 + d * d); }
};
struct LaplaceFilter {  // exp(-|d|)
  static constexpr bool EXPONENTIAL = true, KINK = true;
  template <class R> static Vec<R> weight(Vec<R> d) { return d > 0 ? -d : d; }
  template <class R> static Vec<R> fall(Vec<R> d) {
    const Vec<R> one = splat(R(1));
    return d > 0 ? one : d < 0 ? -one : Vec<R>{};
  }
};

// Calls f(filter) with the filter of that kind.
template <class F> inline void with_filter(Filters filters, F f) {
  switch (filters) {
    case Filters::cauchy: return f(CauchyFilter{});
    case Filters::laplace: return f(LaplaceFilter{});
    default: return f(GaussianFilter{});
  }
}

// The centre of a filter (eqs 19-20). One that is to stand on a pixel stands on it in the reference
// too, whose product is rounded before the sum: where there is a kink, a fused one would miss it.
template <class Filter, class R> inline Vec<R> centre(Vec<R> g, Vec<R> delta, R offset) {
  if constexpr (Filter::KINK) {
    const volatile Vec<R> step = offset * delta;
    return g + step;
  } else {
    return g + offset * delta;
  }
}

// F[N][length]: N filters along one side, each normalised to 1 (eqs 19-20, 25-26).
template <class Filter, class R>
inline void filterbank(Vec<R> g, const Window<R> &window, int64_t N, int64_t length, Vec<R> *F) {
  for (int64_t i = 0; i < N; i++, F += length) {
    const Vec<R> mu = centre<Filter, R>(g, window.delta, R(i + 1) - R(N) / 2 - R(0.5));
    Vec<R> most = splat(-std::numeric_limits<R>::infinity()), total = {};
    for (int64_t a = 0; a < length; a++) {
      const Vec<R> distance = (R(a + 1) - mu) * window.inverse_sigma;
      F[a] = Filter::template weight<R>(distance);
      if constexpr (Filter::EXPONENTIAL) most = most > F[a] ? most : F[a];
      else total += F[a];
    }
    if constexpr (Filter::EXPONENTIAL)
      for (int64_t a = 0; a < length; a++) {
        F[a] = exp(F[a] - most);
        total += F[a];
      }
    const Vec<R> scale = 1 / total;
    for (int64_t a = 0; a < length; a++) F[a] *= scale;
  }
}

// Gradients of a window's centre (along one side), stride and log sigma^2.
template <class R> struct Slope {
  Vec<R> g = {}, delta = {}, log_sigma2 = {};
};

template <class Filter, class R>
inline void filterbank_backward(Vec<R> g, const Window<R> &window, int64_t N, int64_t length,
                                const Vec<R> *F, const Vec<R> *dF, Slope<R> &slope) {
  for (int64_t i = 0; i < N; i++, F += length, dF += length) {
    const R offset = R(i + 1) - R(N) / 2 - R(0.5);
    const Vec<R> mu = centre<Filter, R>(g, window.delta, offset);
    Vec<R> mean = {}, dmu = {}, dlog_sigma2 = {};
    for (int64_t a = 0; a < length; a++) mean += F[a] * dF[a];
    for (int64_t a = 0; a < length; a++) {
      const Vec<R> distance = (R(a + 1) - mu) * window.inverse_sigma;
      const Vec<R> weighted = F[a] * (dF[a] - mean) * Filter::template fall<R>(distance);
      dmu += weighted;
      dlog_sigma2 += weighted * distance;
    }
    dmu *= window.inverse_sigma;
    slope.g += dmu;
    slope.delta += offset * dmu;
    slope.log_sigma2 += R(0.5) * dlog_sigma2;
  }
}

}  // namespace draw
