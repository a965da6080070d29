// The place and the filters of a window for 16 images at a time, one image per lane: eqs 19-26 and
// their gradients. The reference is draw/attention/window.py and the files of other filters and of
// the window that turns beside it; names are the same.
#pragma once

#include <algorithm>
#include <limits>

#include "vec.h"

namespace draw {

constexpr double MAX_LOG = 20, MAX_CENTRE = 1e4;  // as in draw/attention/window.py

// The kinds of filters; none: no window. They are draw/attention's, of the same names.
#define DRAW_FILTERS(EACH) EACH(none) EACH(gaussian) EACH(cauchy) EACH(laplace) EACH(rotated)
#define DRAW_ENTRY(name) name,
enum class Filters : int64_t { DRAW_FILTERS(DRAW_ENTRY) };

struct Grid {  // what windows look at, their side N in filters, how many a step has, their kind
  int64_t channels, rows, columns, N, heads;
  Filters filters;
  int64_t pixels() const { return channels * rows * columns; }
  int64_t patch() const { return channels * N * N; }  // of one window
  int64_t patches() const { return heads * patch(); }
  bool turns() const { return filters == Filters::rotated; }
  // g~_X, g~_Y, log sigma^2, log delta~, log gamma, and the angle of a window that turns
  int64_t placing() const { return turns() ? 6 : 5; }
  int64_t controls() const { return heads * placing(); }
  // Filters of one part of a window share a product along either side of the image (`part_of`).
  int64_t parts() const { return turns() ? N : 1; }
  int64_t of_part() const { return N * N / parts(); }  // numbers of a channel's patch
};

template <class R> struct Window {
  Vec<R> g_x, g_y, delta, inverse_sigma, gamma;
  CosSin<R> angle;  // of a window that turns
};

template <class R> Window<R> place(const Vec<R> *controls, const Grid &grid) {  // (21-24)
  const auto centre = [](Vec<R> v) { return clamp(v, R(-MAX_CENTRE), R(MAX_CENTRE)); };
  const auto log = [](Vec<R> v) { return clamp(v, R(-MAX_LOG), R(MAX_LOG)); };
  const R stride = R(std::max(grid.columns, grid.rows) - 1) / R(std::max<int64_t>(grid.N - 1, 1));
  return {R(grid.columns + 1) / 2 * (centre(controls[0]) + 1),
          R(grid.rows + 1) / 2 * (centre(controls[1]) + 1), stride * exp(log(controls[3])),
          exp(R(-0.5) * log(controls[2])), exp(log(controls[4])),
          grid.turns() ? cos_sin<R>(centre(controls[5])) : CosSin<R>{}};
}

// Place of filter i of N, in strides from the centre of the grid.
template <class R> inline R offset_of(int64_t i, int64_t N) {
  return R(i + 1) - R(N) / 2 - R(0.5);
}

// N filters along one side of the image: the centre of their row, and their stride.
template <class R> struct Row {
  Vec<R> g, delta;
};
template <class R> struct Part {
  Row<R> y, x;
};

// Part j of a window. An upright window has one, whose N filters along either side make an N x N
// grid. Row j of the grid of a window that turns is a part: filter i of it stands at
//   mu_X = (g_X - sin d_j) + cos d_i,  mu_Y = (g_Y + cos d_j) + sin d_i,
// and these are rows of filters as well, of which i along one side goes with i along the other.
template <class R>
inline Part<R> part_of(const Window<R> &window, const Grid &grid, int64_t j) {
  if (!grid.turns()) return {{window.g_y, window.delta}, {window.g_x, window.delta}};
  const Vec<R> cos = window.angle.cos, sin = window.angle.sin;
  const Vec<R> d_j = offset_of<R>(j, grid.N) * window.delta;
  return {{window.g_y + cos * d_j, sin * window.delta},
          {window.g_x - sin * d_j, cos * window.delta}};
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
inline void filterbank(const Row<R> &row, Vec<R> inverse_sigma, int64_t N, int64_t length,
                       Vec<R> *F) {
  for (int64_t i = 0; i < N; i++, F += length) {
    const Vec<R> mu = centre<Filter, R>(row.g, row.delta, offset_of<R>(i, N));
    Vec<R> most = splat(-std::numeric_limits<R>::infinity()), total = {};
    for (int64_t a = 0; a < length; a++) {
      const Vec<R> distance = (R(a + 1) - mu) * inverse_sigma;
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

// Gradients of the centre and the stride of a row of filters, and of log sigma^2.
template <class R> struct Slope {
  Vec<R> g = {}, delta = {}, log_sigma2 = {};
};

template <class Filter, class R>
inline void filterbank_backward(const Row<R> &row, Vec<R> inverse_sigma, int64_t N, int64_t length,
                                const Vec<R> *F, const Vec<R> *dF, Slope<R> &slope) {
  for (int64_t i = 0; i < N; i++, F += length, dF += length) {
    const R offset = offset_of<R>(i, N);
    const Vec<R> mu = centre<Filter, R>(row.g, row.delta, offset);
    Vec<R> mean = {}, dmu = {}, dlog_sigma2 = {};
    for (int64_t a = 0; a < length; a++) mean += F[a] * dF[a];
    for (int64_t a = 0; a < length; a++) {
      const Vec<R> distance = (R(a + 1) - mu) * inverse_sigma;
      const Vec<R> weighted = F[a] * (dF[a] - mean) * Filter::template fall<R>(distance);
      dmu += weighted;
      dlog_sigma2 += weighted * distance;
    }
    dmu *= inverse_sigma;
    slope.g += dmu;
    slope.delta += offset * dmu;
    slope.log_sigma2 += R(0.5) * dlog_sigma2;
  }
}

// Gradients of what places a window, and <F_x, dF_x>, which is that of log gamma: a patch is linear
// in F_x, so that <F_x, dF_x> = <patch, dpatch>.
template <class R> struct WindowSlope {
  Vec<R> g_x = {}, g_y = {}, delta = {}, log_sigma2 = {}, angle = {}, through = {};
};

// Adds what part j gets along either side.
template <class R>
inline void part_backward(const Window<R> &window, const Grid &grid, int64_t j,
                          const Slope<R> &along_y, const Slope<R> &along_x, WindowSlope<R> &slope) {
  slope.g_y += along_y.g;
  slope.g_x += along_x.g;
  slope.log_sigma2 += along_y.log_sigma2 + along_x.log_sigma2;
  if (!grid.turns()) {
    slope.delta += along_y.delta + along_x.delta;
    return;
  }
  const Vec<R> cos = window.angle.cos, sin = window.angle.sin;
  const R o_j = offset_of<R>(j, grid.N);
  slope.delta += along_y.delta * sin + along_x.delta * cos + o_j * (cos * along_y.g - sin * along_x.g);
  slope.angle += window.delta * (along_y.delta * cos - along_x.delta * sin -
                                 o_j * (sin * along_y.g + cos * along_x.g));
}

}  // namespace draw
