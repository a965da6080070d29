// The recurrent attention classifier's glimpses, forward and backward (draw/model/classifier.py).
//
// A step has two products: h_{t-1} -> controls of the windows (OUT), and [h_{t-1} | r] -> gates
// (ENC). One row of activations is [h_{t-1} | r]. What follows the LSTM is left to torch.
#pragma once

#include "gradients.h"
#include "pass.h"

namespace draw {

#define GLIMPSES_PARAMETERS(EACH) \
  EACH(H_0, "h_0") EACH(C_0, "c_0") EACH(W_IH, "lstm.weight_ih") EACH(W_HH, "lstm.weight_hh") \
  EACH(B_IH, "lstm.bias_ih") EACH(B_HH, "lstm.bias_hh") \
  EACH(WINDOW_W, "read_window.weight") EACH(WINDOW_B, "read_window.bias")

// images    [batch, channels, rows, columns]
// h, dh     [glimpses, batch, hidden]
// controls  [glimpses, batch, 5 * heads]; 6 * heads of windows that turn
#define GLIMPSES_TENSORS(EACH) \
  EACH(images) EACH(h) EACH(controls) EACH(saved) EACH(scratch) EACH(dh) EACH(dimages)

enum GlimpsesParameter { GLIMPSES_PARAMETERS(DRAW_SYMBOL) GLIMPSES_PARAMETER_COUNT };

// Everything a call is given. Null: not wanted, or not there.
struct GlimpsesCall {
  Shape shape;  // latent, write_size, write_heads and learned are not used
  void *parameters[GLIMPSES_PARAMETER_COUNT];
  void *gradients[GLIMPSES_PARAMETER_COUNT];
  GLIMPSES_TENSORS(DRAW_POINTER)
  double longest;  // gradient that the controls of an image may get at a glimpse; 0 for any
};

// The controls' gradients of 16 images, one a lane, scaled down where they are longer.
template <class R> inline void shorten(Vec<R> *dcontrols, int64_t count, R longest) {
  Vec<R> length2 = {}, scale;
  for (int64_t k = 0; k < count; k++) length2 += dcontrols[k] * dcontrols[k];
  for (int64_t i = 0; i < LANES; i++)
    scale[i] = length2[i] > longest * longest ? longest / std::sqrt(length2[i]) : R(1);
  for (int64_t k = 0; k < count; k++) dcontrols[k] *= scale;
}

template <class Op> struct SavedGlimpses;

template <class Op> struct GlimpsesLayout {
  using Operand = Op;
  using Call = GlimpsesCall;
  using Saved = SavedGlimpses<Op>;
  using R = Real<Op>;
  static constexpr Which EACH[] = {ENC, OUT};
  static constexpr bool windows = true;

  Shape n;
  Grid reading;
  int64_t pixels, batch, blocks, hidden, features, width, gates, controls, outputs;

  explicit GlimpsesLayout(const Shape &shape) : n(shape) {
    reading = {n.channels, n.rows, n.columns, n.read_size, n.read_heads, Filters(n.filters)};
    pixels = reading.pixels();
    batch = round_up(n.batch, LANES);
    blocks = batch / LANES;
    hidden = round_up(n.hidden, LANES);
    features = reading.patches();
    width = hidden + round_up(features, 2);
    gates = 4 * hidden;
    controls = reading.controls();
    outputs = round_up(controls, LANES);
  }
  bool has(Which) const { return true; }
  int64_t depth(Which which) const { return which == ENC ? width : hidden; }
  int64_t columns(Which which) const { return which == ENC ? gates : outputs; }

  template <class F> void weights(Which which, R *const *w, F f) const {
    const GateColumn gate{n.hidden};
    const auto rows = [=](R *base, int64_t stride) {
      return [=](int64_t column) -> R * {
        const int64_t row = gate(column);
        return row < 0 ? nullptr : base + row * stride;
      };
    };
    if (which == ENC) {
      f(0, n.hidden, rows(w[W_HH], n.hidden));
      f(hidden, features, rows(w[W_IH], features));
    } else {
      f(0, n.hidden, [=](int64_t column) -> R * {
        return column < controls ? w[WINDOW_W] + column * n.hidden : nullptr;
      });
    }
  }
  template <class F> void biases(Which which, R *const *w, F f) const {
    const GateColumn gate{n.hidden};
    for (int64_t column = 0; column < columns(which); column++) {
      const int64_t row = which == ENC ? gate(column) : column < controls ? column : -1;
      if (row < 0) continue;
      which == ENC ? f(column, w[B_IH] + row, w[B_HH] + row)
                   : f(column, w[WINDOW_B] + row, static_cast<R *>(nullptr));
    }
  }
};

template <class Op> struct SavedGlimpses {
  using R = Real<Op>;
  Op *activations, *gates, *cells;  // [steps + 1, batch, width], [steps, batch, gates], [steps + 1,
  R *outputs;                       // batch, hidden]; [steps, batch, outputs], without bias

  void reserve(Arena &arena, const GlimpsesLayout<Op> &l, bool) {  // keeps all in any case
    const int64_t steps = l.n.glimpses, b = l.batch;
    activations = arena.take<Op>((steps + 1) * b * l.width);
    gates = arena.take<Op>(steps * b * l.gates);
    cells = arena.take<Op>((steps + 1) * b * l.hidden);
    outputs = arena.take<R>(steps * b * l.outputs);
  }
  Op *row(const GlimpsesLayout<Op> &l, int64_t t, int64_t image) const {
    return activations + (t * l.batch + image) * l.width;
  }
  R *out(const GlimpsesLayout<Op> &l, int64_t t, int64_t image) const {
    return outputs + (t * l.batch + image) * l.outputs;
  }
};

template <class Op> struct GlimpsesForwardSpace {
  using R = Real<Op>;
  R *product;  // [4 blocks of images, 64]
  Vec<R> *controls, *seen;
  WindowSpace<R> window;

  void reserve(Arena &arena, const GlimpsesLayout<Op> &l, int64_t rows) {
    product = arena.take<R>(rows * BLOCK);
    controls = arena.take<Vec<R>>(l.outputs);
    seen = arena.take<Vec<R>>(l.features);
    window.reserve(arena, l.reading);
  }
};

template <class Op>
struct GlimpsesForward : Pass<GlimpsesLayout<Op>, ForwardWeights, GlimpsesForwardSpace<Op>> {
  using Space = GlimpsesForwardSpace<Op>;
  using Base = Pass<GlimpsesLayout<Op>, ForwardWeights, Space>;
  using Base::Base, Base::l, Base::call, Base::saved, Base::weights;
  using R = Real<Op>;
  R *cell;  // [batch, hidden]

  void reserve(Arena &arena) {
    Base::reserve(arena);
    cell = arena.take<R>(l.batch * l.hidden);
  }

  void run() {
    this->in_threads([&](Space &own) {
      this->each_slice([&](Slice slice) {
        this->images_to_lanes(call.images, slice, this->x_lanes);
        start(slice);
        for (int64_t t = 0; t < l.n.glimpses; t++) glimpse(t, slice, own);
      });
    });
  }

 private:
  void start(Slice slice) {
    const R *const *w = const_cast<const R *const *>(this->parameters());
    for (int64_t b = slice.image(); b < slice.image() + slice.rows(); b++)
      for (int64_t u = 0; u < l.hidden; u += LANES) {
        const int64_t left = std::max<int64_t>(0, l.n.hidden - u);
        store(saved.row(l, 0, b) + u, load_part(w[H_0] + u, left));
        store(cell + b * l.hidden + u, load_part(w[C_0] + u, left));
        store(saved.cells + b * l.hidden + u, load_part(w[C_0] + u, left));
      }
  }

  void glimpse(int64_t t, Slice slice, Space &own) {
    const int64_t b0 = slice.image(), rows = slice.rows();
    product(rows, saved.row(l, t, b0), l.width, weights.of[OUT], saved.out(l, t, b0), l.outputs,
            false);
    for (int64_t block = slice.first; block < slice.end(); block++) {
      const int64_t b = block * LANES;
      this->outputs_to_lanes(t, b, l.outputs, own.controls);
      from_lanes(own.controls, l.controls,
                 image_rows(static_cast<R *>(call.controls) + t * l.n.batch * l.controls,
                            l.controls, b, l.n.batch));
      look(own.controls, l.reading, this->x_lanes + block * l.pixels, own.seen, own.window);
      Rows<Op> to;
      for (int64_t i = 0; i < LANES; i++) to.row[i] = saved.row(l, t, b + i) + l.hidden;
      from_lanes(own.seen, l.features, to);
      for (int64_t i = 0; i < LANES; i++)  // the operand's padding
        std::memset(static_cast<void *>(to.row[i] + l.features), 0,
                    (l.width - l.hidden - l.features) * sizeof(Op));
    }
    const Packed<Op> &B = weights.of[ENC];
    for (int64_t j = 0; j < B.blocks(); j++) {
      gemm(rows, BLOCK, B.K, saved.row(l, t, b0), l.width, B.block(j), own.product, BLOCK, false);
      lstm_block<Op>(rows, own.product, this->bias[ENC] + j * BLOCK, nullptr, 0,
                     cell + b0 * l.hidden + j * LANES, l.hidden, nullptr,
                     saved.row(l, t + 1, b0) + j * LANES, l.width,
                     saved.gates + (t * l.batch + b0) * l.gates + j * BLOCK, l.gates,
                     saved.cells + ((t + 1) * l.batch + b0) * l.hidden + j * LANES);
    }
    for (int64_t b = b0; b < std::min(b0 + rows, l.n.batch); b++) {
      R *to = static_cast<R *>(call.h) + (t * l.n.batch + b) * l.n.hidden;
      for (int64_t u = 0; u < l.n.hidden; u += LANES)
        store_part(to + u, load(saved.row(l, t + 1, b) + u), l.n.hidden - u);
    }
  }
};

template <class Op> struct GlimpsesBackwardSpace {
  using R = Real<Op>;
  Op *dgates, *doutputs;  // [rows, columns] of the product
  Vec<R> *controls, *slopes, *seen;
  WindowSpace<R> window;

  void reserve(Arena &arena, const GlimpsesLayout<Op> &l, int64_t rows) {
    dgates = arena.take<Op>(rows * l.gates);
    doutputs = arena.take<Op>(rows * l.outputs);
    controls = arena.take<Vec<R>>(l.outputs);
    slopes = arena.take<Vec<R>>(l.outputs);
    seen = arena.take<Vec<R>>(l.features);
    window.reserve(arena, l.reading);
  }
};

template <class Op>
struct GlimpsesBackward : Pass<GlimpsesLayout<Op>, BackwardWeights, GlimpsesBackwardSpace<Op>> {
  using Space = GlimpsesBackwardSpace<Op>;
  using Base = Pass<GlimpsesLayout<Op>, BackwardWeights, Space>;
  using Base::Base, Base::l, Base::call, Base::saved, Base::weights;
  using R = Real<Op>;
  WeightGradients<GlimpsesLayout<Op>> slopes;  // its panels hold all steps
  R *dcell;        // [batch, hidden]
  R *drow;         // [batch, width]
  Vec<R> *dx;      // [blocks, pixels]
  Op *transposed;  // [width, steps * batch]

  void reserve(Arena &arena) {
    Base::reserve(arena);
    const int64_t all = l.n.glimpses * l.batch;
    slopes.reserve(arena, l, [&](Which) { return all; });
    dcell = arena.take<R>(l.batch * l.hidden);
    drow = arena.take<R>(l.batch * l.width);
    dx = call.dimages ? arena.take<Vec<R>>(l.blocks * l.pixels) : nullptr;
    transposed = arena.take<Op>(all * l.width);
  }

  void run() {
    this->in_threads([&](Space &own) {
      this->each_slice([&](Slice slice) {
        this->images_to_lanes(call.images, slice, this->x_lanes);
        start(slice);
        for (int64_t t = l.n.glimpses - 1; t >= 0; t--) glimpse(t, slice, own);
        if (dx) this->images_from_lanes(dx, slice, call.dimages);
      });
      weight_gradients();
      slopes.give_out(l, this->gradients());
    });
    sum_over_images();
  }

 private:
  void start(Slice slice) {
    const int64_t b = slice.image(), end = b + slice.rows();
    std::fill(drow + b * l.width, drow + end * l.width, R(0));
    std::fill(dcell + b * l.hidden, dcell + end * l.hidden, R(0));
    if (dx)
      std::fill(dx + slice.first * l.pixels, dx + slice.end() * l.pixels, Vec<R>{});
  }

  void glimpse(int64_t t, Slice slice, Space &own) {
    const int64_t b0 = slice.image(), rows = slice.rows(), k = t * l.batch;
    for (int64_t b = b0; b < std::min(b0 + rows, l.n.batch); b++) {
      const R *from = static_cast<R *>(call.dh) + (t * l.n.batch + b) * l.n.hidden;
      for (int64_t u = 0; u < l.n.hidden; u++) drow[b * l.width + u] += from[u];
    }
    const Op *before = saved.cells + (t * l.batch + b0) * l.hidden;
    for (int64_t j = 0; j < l.hidden / LANES; j++)
      lstm_block_backward<Op>(rows, saved.gates + (t * l.batch + b0) * l.gates + j * BLOCK, l.gates,
                              before + l.batch * l.hidden + j * LANES, before + j * LANES, l.hidden,
                              drow + b0 * l.width + j * LANES, l.width, nullptr,
                              dcell + b0 * l.hidden + j * LANES, own.dgates + j * BLOCK, l.gates,
                              slopes.panels[ENC].block(j), k + b0, nullptr);
    product(rows, own.dgates, l.gates, weights.of[ENC], drow + b0 * l.width, l.width, false);
    for (int64_t block = slice.first; block < slice.end(); block++) {
      const int64_t b = block * LANES;
      std::fill(own.slopes, own.slopes + l.outputs, Vec<R>{});
      this->outputs_to_lanes(t, b, l.outputs, own.controls);
      to_lanes(image_rows(drow + l.hidden, l.width, b, l.batch), l.features, own.seen);
      look_backward(own.controls, l.reading, this->x_lanes + block * l.pixels, own.seen,
                    own.slopes, dx ? dx + block * l.pixels : nullptr, own.window);
      if (call.longest > 0) shorten(own.slopes, l.controls, R(call.longest));
      slopes.from_lanes(OUT, own.slopes, own.doutputs + (b - b0) * l.outputs, k + b);
    }
    product(rows, own.doutputs, l.outputs, weights.of[OUT], drow + b0 * l.width, l.width, true);
  }

  // To be called by all threads.
  void weight_gradients() {
    const int64_t all = l.n.glimpses * l.batch;
#pragma omp for schedule(static)
    for (int64_t k = 0; k < all; k += LANES)
      transpose_operand(saved.activations + k * l.width, l.width, l.width, transposed + k, all);
    const int64_t of_gates = slopes.panels[ENC].blocks();
    const int64_t of_both = of_gates + slopes.panels[OUT].blocks();
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < of_both; task++) {
      const bool gate = task < of_gates;
      slopes.accumulate(gate ? ENC : OUT, gate ? task : task - of_gates, transposed, all, 0, all,
                        false);
    }
  }

  void sum_over_images() {
    R *const *d = this->gradients();
    sum_rows(drow, l.width, l.n.batch, l.n.hidden, d[H_0]);
    sum_rows(dcell, l.hidden, l.n.batch, l.n.hidden, d[C_0]);
  }
};

}  // namespace draw
