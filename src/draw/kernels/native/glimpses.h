// The recurrent attention classifier's glimpses, forward and backward (draw/classifier.py).
//
// A step has two products: h_{t-1} -> controls of the window (OUT), and [h_{t-1} | r] -> gates (ENC).
// One row of activations is [h_{t-1} | r]. What follows the LSTM is left to torch.
#pragma once

#include "forward.h"
#include "gradients.h"

namespace draw {

enum GlimpsesParameter { H_0, C_0, W_IH, W_HH, B_IH, B_HH, WINDOW_W, WINDOW_B, GLIMPSES_PARAMETERS };

// Mirrored by draw/kernels/native.py. Null: not wanted, or not there.
struct GlimpsesCall {
  Shape shape;  // latent, write_size and gaussian are not used
  void *parameters[GLIMPSES_PARAMETERS];
  void *images;    // [batch, channels, rows, columns]
  void *h;         // [glimpses, batch, hidden]
  void *controls;  // [glimpses, batch, 5]
  void *saved, *scratch;
  void *dh;
  void *gradients[GLIMPSES_PARAMETERS];
  void *dimages;
};

template <class Op> struct GlimpsesLayout {
  using Operand = Op;
  using R = Real<Op>;
  static constexpr Which EACH[] = {ENC, OUT};

  Shape n;
  Grid reading;
  int64_t pixels, batch, blocks, hidden, features, width, gates, outputs = LANES;

  explicit GlimpsesLayout(const Shape &shape) : n(shape) {
    reading = {n.channels, n.rows, n.columns, n.read_size};
    pixels = reading.pixels();
    batch = round_up(n.batch, LANES);
    blocks = batch / LANES;
    hidden = round_up(n.hidden, LANES);
    features = n.channels * n.read_size * n.read_size;
    width = hidden + round_up(features, 2);
    gates = 4 * hidden;
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
        return column < CONTROLS ? w[WINDOW_W] + column * n.hidden : nullptr;
      });
    }
  }
  template <class F> void biases(Which which, R *const *w, F f) const {
    const GateColumn gate{n.hidden};
    for (int64_t column = 0; column < columns(which); column++) {
      const int64_t row = which == ENC ? gate(column) : column < CONTROLS ? column : -1;
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

  void reserve(Arena &arena, const GlimpsesLayout<Op> &l) {
    const int64_t steps = l.n.glimpses, b = l.batch;
    activations = arena.take<Op>((steps + 1) * b * l.width);
    gates = arena.take<Op>(steps * b * l.gates);
    cells = arena.take<Op>((steps + 1) * b * l.hidden);
    outputs = arena.take<R>(steps * b * l.outputs);
  }
};

// What both directions need.
template <class Op> struct Glimpses {
  using R = Real<Op>;
  GlimpsesLayout<Op> l;
  const GlimpsesCall &call;
  int64_t threads;
  SavedGlimpses<Op> saved;
  Vec<R> *x_lanes;  // [blocks, pixels]
  R *cell;          // [batch, hidden]: c forward, its gradient backward
  R *bias[PRODUCTS];

  Glimpses(const GlimpsesCall &call, int64_t threads)
      : l(call.shape), call(call), threads(threads) {}

  void reserve_common(Arena &arena) {
    Arena kept{static_cast<char *>(call.saved)};
    saved.reserve(call.saved ? kept : arena, l);
    x_lanes = arena.take<Vec<R>>(l.blocks * l.pixels);
    cell = arena.take<R>(l.batch * l.hidden);
    for (const Which which : l.EACH) bias[which] = arena.take<R>(l.columns(which));
  }
  R *const *parameters() const { return reinterpret_cast<R *const *>(call.parameters); }
  R *const *gradients() const { return reinterpret_cast<R *const *>(call.gradients); }
  Op *row(int64_t t, int64_t b) const { return saved.activations + (t * l.batch + b) * l.width; }
  R *outputs(int64_t t, int64_t b) const { return saved.outputs + (t * l.batch + b) * l.outputs; }

  void load_images(Slice slice) {
    for (int64_t block = slice.first; block < slice.first + slice.count; block++)
      to_lanes(image_rows(static_cast<R *>(call.images), l.pixels, block * LANES, l.n.batch),
               l.pixels, x_lanes + block * l.pixels);
  }
  void controls_of(int64_t t, int64_t b, Vec<R> *lanes) {
    to_lanes(image_rows(outputs(t, b), l.outputs, 0, LANES), l.outputs, lanes);
    for (int64_t j = 0; j < CONTROLS; j++) lanes[j] += bias[OUT][j];
  }
};

template <class Op> struct GlimpsesForward : Glimpses<Op> {
  using R = Real<Op>;
  using Glimpses<Op>::l, Glimpses<Op>::call, Glimpses<Op>::threads, Glimpses<Op>::saved;
  using Glimpses<Op>::cell, Glimpses<Op>::row, Glimpses<Op>::outputs;
  ForwardWeights<GlimpsesLayout<Op>> weights;
  struct Space {
    R *product;
    Vec<R> *seen;
    WindowSpace<R> window;
  };
  std::vector<Space> space;

  GlimpsesForward(const GlimpsesCall &call, int64_t threads)
      : Glimpses<Op>(call, threads), space(threads) {}

  int64_t reserve(void *scratch) {
    Arena arena{static_cast<char *>(scratch)};
    this->reserve_common(arena);
    weights.reserve(arena, l);
    for (Space &own : space) {
      own.product = arena.take<R>(slice_blocks(l.blocks, threads) * LANES * BLOCK);
      own.seen = arena.take<Vec<R>>(l.features);
      own.window.reserve(arena, l.reading);
    }
    return arena.used;
  }

  void run() {
    for (const Which which : l.EACH) gather_biases(l, which, this->parameters(), this->bias[which]);
    const int64_t step = slice_blocks(l.blocks, threads);
#pragma omp parallel num_threads(threads)
    {
      const FlushTiny flush;
      weights.pack(l, this->parameters());
      Space &own = space[omp_get_thread_num()];
#pragma omp for schedule(static)
      for (int64_t first = 0; first < l.blocks; first += step) {
        const Slice slice{first, std::min(step, l.blocks - first)};
        this->load_images(slice);
        start(slice);
        for (int64_t t = 0; t < l.n.glimpses; t++) glimpse(t, slice, own);
      }
      if (products.release) products.release(true);
    }
  }

 private:
  void start(Slice slice) {
    const R *const *w = const_cast<const R *const *>(this->parameters());
    for (int64_t b = slice.first * LANES; b < (slice.first + slice.count) * LANES; b++)
      for (int64_t u = 0; u < l.hidden; u += LANES) {
        const int64_t left = std::max<int64_t>(0, l.n.hidden - u);
        store(row(0, b) + u, load_part(w[H_0] + u, left));
        store(cell + b * l.hidden + u, load_part(w[C_0] + u, left));
        store(saved.cells + b * l.hidden + u, load_part(w[C_0] + u, left));
      }
  }

  void glimpse(int64_t t, Slice slice, Space &own) {
    const int64_t b0 = slice.first * LANES, rows = slice.count * LANES;
    product(rows, row(t, b0), l.width, weights.of[OUT], outputs(t, b0), l.outputs, false);
    for (int64_t block = slice.first; block < slice.first + slice.count; block++) {
      const int64_t b = block * LANES;
      Vec<R> controls[LANES];
      this->controls_of(t, b, controls);
      from_lanes(controls, CONTROLS,
                 image_rows(static_cast<R *>(call.controls) + t * l.n.batch * CONTROLS, CONTROLS, b,
                            l.n.batch));
      look(controls, l.reading, this->x_lanes + block * l.pixels, own.seen, own.window);
      Rows<Op> to;
      for (int64_t i = 0; i < LANES; i++) to.row[i] = row(t, b + i) + l.hidden;
      from_lanes(own.seen, l.features, to);
      for (int64_t i = 0; i < LANES; i++)  // the operand's padding
        std::memset(static_cast<void *>(to.row[i] + l.features), 0,
                    (l.width - l.hidden - l.features) * sizeof(Op));
    }
    const Packed<Op> &B = weights.of[ENC];
    for (int64_t j = 0; j < B.blocks(); j++) {
      gemm(rows, BLOCK, B.K, row(t, b0), l.width, B.block(j), own.product, BLOCK, false);
      lstm_block<Op>(rows, own.product, this->bias[ENC] + j * BLOCK, nullptr, 0,
                     cell + b0 * l.hidden + j * LANES, l.hidden, row(t + 1, b0) + j * LANES, l.width,
                     saved.gates + (t * l.batch + b0) * l.gates + j * BLOCK, l.gates,
                     saved.cells + ((t + 1) * l.batch + b0) * l.hidden + j * LANES);
    }
    for (int64_t b = b0; b < std::min(b0 + rows, l.n.batch); b++) {
      R *to = static_cast<R *>(call.h) + (t * l.n.batch + b) * l.n.hidden;
      for (int64_t u = 0; u < l.n.hidden; u += LANES)
        store_part(to + u, load(row(t + 1, b) + u), l.n.hidden - u);
    }
  }
};

template <class Op> struct GlimpsesBackward : Glimpses<Op> {
  using R = Real<Op>;
  using Glimpses<Op>::l, Glimpses<Op>::call, Glimpses<Op>::threads, Glimpses<Op>::saved;
  using Glimpses<Op>::cell, Glimpses<Op>::row;
  BackwardWeights<GlimpsesLayout<Op>> weights;
  WeightGradients<GlimpsesLayout<Op>> slopes;  // its panels hold all steps
  R *drow;         // [batch, width]
  Vec<R> *dx;      // [blocks, pixels]
  Op *transposed;  // [width, steps * batch]
  struct Space {
    Op *dgates, *doutputs;
    Vec<R> *seen;
    WindowSpace<R> window;
  };
  std::vector<Space> space;

  GlimpsesBackward(const GlimpsesCall &call, int64_t threads)
      : Glimpses<Op>(call, threads), space(threads) {}

  int64_t reserve(void *scratch) {
    Arena arena{static_cast<char *>(scratch)};
    this->reserve_common(arena);
    weights.reserve(arena, l);
    const int64_t all = l.n.glimpses * l.batch;
    slopes.reserve(arena, l, [&](Which) { return all; });
    drow = arena.take<R>(l.batch * l.width);
    dx = call.dimages ? arena.take<Vec<R>>(l.blocks * l.pixels) : nullptr;
    transposed = arena.take<Op>(all * l.width);
    const int64_t rows = slice_blocks(l.blocks, threads) * LANES;
    for (Space &own : space) {
      own.dgates = arena.take<Op>(rows * l.gates);
      own.doutputs = arena.take<Op>(rows * l.outputs);
      own.seen = arena.take<Vec<R>>(l.features);
      own.window.reserve(arena, l.reading);
    }
    return arena.used;
  }

  void run() {
    for (const Which which : l.EACH) gather_biases(l, which, this->parameters(), this->bias[which]);
    const int64_t step = slice_blocks(l.blocks, threads);
    const int64_t all = l.n.glimpses * l.batch;
#pragma omp parallel num_threads(threads)
    {
      const FlushTiny flush;
      weights.pack(l, this->parameters());
      Space &own = space[omp_get_thread_num()];
#pragma omp for schedule(static)
      for (int64_t first = 0; first < l.blocks; first += step) {
        const Slice slice{first, std::min(step, l.blocks - first)};
        this->load_images(slice);
        start(slice);
        for (int64_t t = l.n.glimpses - 1; t >= 0; t--) glimpse(t, slice, own);
      }
#pragma omp for schedule(static)
      for (int64_t k = 0; k < all; k += LANES)
        transpose_operand(saved.activations + k * l.width, l.width, l.width, transposed + k, all);
      const int64_t of_gates = slopes.panels[ENC].blocks();
#pragma omp for schedule(dynamic)
      for (int64_t task = 0; task <= of_gates; task++)
        slopes.accumulate(task < of_gates ? ENC : OUT, task % of_gates, transposed, all, 0, all,
                          false);
      slopes.give_out(l, this->gradients());
      if (products.release) products.release(true);
    }
    sum_over_images();
  }

 private:
  void start(Slice slice) {
    const int64_t b = slice.first * LANES, end = b + slice.count * LANES;
    std::fill(drow + b * l.width, drow + end * l.width, R(0));
    std::fill(cell + b * l.hidden, cell + end * l.hidden, R(0));
    if (dx)
      std::fill(dx + slice.first * l.pixels, dx + (slice.first + slice.count) * l.pixels, Vec<R>{});
  }

  void glimpse(int64_t t, Slice slice, Space &own) {
    const int64_t b0 = slice.first * LANES, rows = slice.count * LANES, k = t * l.batch;
    for (int64_t b = b0; b < std::min(b0 + rows, l.n.batch); b++) {
      const R *from = static_cast<R *>(call.dh) + (t * l.n.batch + b) * l.n.hidden;
      for (int64_t u = 0; u < l.n.hidden; u++) drow[b * l.width + u] += from[u];
    }
    const Op *before = saved.cells + (t * l.batch + b0) * l.hidden;
    for (int64_t j = 0; j < l.hidden / LANES; j++)
      lstm_block_backward<Op>(rows, saved.gates + (t * l.batch + b0) * l.gates + j * BLOCK, l.gates,
                              before + l.batch * l.hidden + j * LANES, before + j * LANES, l.hidden,
                              drow + b0 * l.width + j * LANES, l.width,
                              cell + b0 * l.hidden + j * LANES, own.dgates + j * BLOCK, l.gates,
                              slopes.panels[ENC].block(j), k + b0, nullptr);
    product(rows, own.dgates, l.gates, weights.of[ENC], drow + b0 * l.width, l.width, false);
    for (int64_t block = slice.first; block < slice.first + slice.count; block++) {
      const int64_t b = block * LANES;
      Vec<R> controls[LANES], dcontrols[LANES] = {};
      this->controls_of(t, b, controls);
      to_lanes(image_rows(drow + l.hidden, l.width, b, l.batch), l.features, own.seen);
      look_backward(controls, l.reading, this->x_lanes + block * l.pixels, own.seen, dcontrols,
                    dx ? dx + block * l.pixels : nullptr, own.window);
      slopes.from_lanes(OUT, dcontrols, own.doutputs + (b - b0) * l.outputs, k + b);
    }
    product(rows, own.doutputs, l.outputs, weights.of[OUT], drow + b0 * l.width, l.width, true);
  }

  void sum_over_images() {
    R *const *d = this->gradients();
    std::fill(d[H_0], d[H_0] + l.n.hidden, R(0));
    std::fill(d[C_0], d[C_0] + l.n.hidden, R(0));
    for (int64_t b = 0; b < l.n.batch; b++)
      for (int64_t u = 0; u < l.n.hidden; u++) {
        d[H_0][u] += drow[b * l.width + u];
        d[C_0][u] += cell[b * l.hidden + u];
      }
    for (int64_t block = 0; dx && block < l.blocks; block++)
      from_lanes(dx + block * l.pixels, l.pixels,
                 image_rows(static_cast<R *>(call.dimages), l.pixels, block * LANES, l.n.batch));
  }
};

}  // namespace draw
