// The fast unrolls of DRAW and of the classifier: what Python calls (draw/kernels/cpp/binding.py), in
// plain C.
#include "backward.h"
#include "forward.h"
#include "glimpses.h"

namespace {

using draw::Call;
using draw::GlimpsesCall;

// Whichever pass, in the type that the caller's numbers have.
template <template <class> class Pass, class Call>
int64_t with_type(int type, Call *call, bool measure) {
  const auto go = [&](auto pass) {
    draw::Arena arena{measure ? nullptr : static_cast<char *>(call->scratch)};
    pass.reserve(arena);
    if (!measure) pass.run();
    return arena.used;
  };
  const int64_t threads = omp_get_max_threads();
  if (type == 0) return go(Pass<double>(*call, threads));
  if (type == 1) return go(Pass<float>(*call, threads));
  return go(Pass<draw::Bf16>(*call, threads));
}

template <template <class> class Layout> int64_t saved_bytes(int type, const draw::Shape &shape) {
  const auto measure = [](const auto &layout) {
    draw::Arena count{nullptr};
    typename std::decay_t<decltype(layout)>::Saved{}.reserve(count, layout, true);
    return count.used;
  };
  if (type == 0) return measure(Layout<double>(shape));
  if (type == 1) return measure(Layout<float>(shape));
  return measure(Layout<draw::Bf16>(shape));
}

}  // namespace

extern "C" {

// Functions of torch that multiply matrices; null where torch has none for this processor.
void draw_products(draw::GemmFloat of_floats, draw::GemmBf16 of_bf16, draw::GemmRelease release) {
  draw::products = {of_floats, of_bf16, release};
}

// The largest error of those functions on small matrices of numbers in [-1, 1].
double draw_products_error(int bf16) {
  return bf16 ? draw::products_error<draw::Bf16>() : draw::products_error<float>();
}

// How fast those functions are at best, in GFLOP/s (benchmarks/peak.py).
double draw_products_speed(int bf16, int64_t repeats) {
  return bf16 ? draw::products_speed<draw::Bf16>(repeats) : draw::products_speed<float>(repeats);
}

// Bytes that `saved` must have. type: 0 double, 1 float, 2 float with bfloat16 products.
int64_t draw_saved_bytes(int type, const draw::Shape *shape) {
  return saved_bytes<draw::Layout>(type, *shape);
}

// Bytes that `scratch` must have for a call whose other fields are set.
int64_t draw_scratch_bytes(int type, Call *call, int backward) {
  return backward ? with_type<draw::Backward>(type, call, true)
                  : with_type<draw::Forward>(type, call, true);
}

void draw_forward(int type, Call *call) { with_type<draw::Forward>(type, call, false); }
void draw_backward(int type, Call *call) { with_type<draw::Backward>(type, call, false); }

int64_t glimpses_saved_bytes(int type, const draw::Shape *shape) {
  return saved_bytes<draw::GlimpsesLayout>(type, *shape);
}
int64_t glimpses_scratch_bytes(int type, GlimpsesCall *call, int backward) {
  return backward ? with_type<draw::GlimpsesBackward>(type, call, true)
                  : with_type<draw::GlimpsesForward>(type, call, true);
}
void glimpses_forward(int type, GlimpsesCall *call) {
  with_type<draw::GlimpsesForward>(type, call, false);
}
void glimpses_backward(int type, GlimpsesCall *call) {
  with_type<draw::GlimpsesBackward>(type, call, false);
}

// For a check that both sides of the calls agree on their form: names in their order, and sizes.
const char *draw_shape() { return DRAW_SHAPE(DRAW_NAME); }
const char *draw_parameters() { return DRAW_PARAMETERS(DRAW_NAME_OF); }
const char *draw_tensors() { return DRAW_TENSORS(DRAW_NAME); }
const char *draw_filters() { return DRAW_FILTERS(DRAW_NAME); }
const char *glimpses_shape() { return draw_shape(); }
const char *glimpses_parameters() { return GLIMPSES_PARAMETERS(DRAW_NAME_OF); }
const char *glimpses_tensors() { return GLIMPSES_TENSORS(DRAW_NAME); }
const char *glimpses_filters() { return draw_filters(); }
int64_t draw_call_bytes() { return sizeof(Call); }
int64_t glimpses_call_bytes() { return sizeof(GlimpsesCall); }
}
