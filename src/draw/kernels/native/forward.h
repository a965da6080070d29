// The whole sequence forward: each thread takes some images through all steps, without waiting
// for the others.
#pragma once

#include <omp.h>

#include "weights.h"

namespace draw {

// What one thread needs for one step of its images.
template <class Op> struct ForwardSpace {
  using R = Real<Op>;
  R *product;              // [4 blocks of images, 64]
  Vec<R> *sigmoid, *seen, *outputs;
  WindowSpace<R> reading, writing;

  void reserve(Arena &arena, const Layout<Op> &l, int64_t rows) {
    product = arena.take<R>(rows * BLOCK);
    if (!l.gaussian) return;
    sigmoid = arena.take<Vec<R>>(l.pixels);
    seen = arena.take<Vec<R>>(l.features);
    outputs = arena.take<Vec<R>>(l.outputs);
    reading.reserve(arena, l.reading);
    writing.reserve(arena, l.writing);
  }
};

template <class Op> struct Forward {
  using R = Real<Op>;
  Layout<Op> l;
  const Call &call;
  int64_t threads;
  ForwardWeights<Layout<Op>> weights;
  Saved<Op> saved;
  R *cell[2];      // the LSTMs' c, [batch, hidden]
  R *of_x;         // without attention: x's share of the encoder's gates, [batch, gates]
  Op *x_operand;   // and x as operand, [batch, seen]
  R *zeros;        // stands in for images beyond the batch
  Vec<R> *x_lanes;  // [blocks, pixels]
  R *canvas;       // [blocks, pixels, 16 lanes], or [batch, pixels] without attention
  std::vector<ForwardSpace<Op>> space;

  Forward(const Call &call, int64_t threads)
      : l(call.shape), call(call), threads(threads), space(threads) {}

  int64_t reserve(void *scratch) {
    Arena arena{static_cast<char *>(scratch)}, kept{static_cast<char *>(call.saved)};
    saved.reserve(call.saved ? kept : arena, l, call.saved);
    weights.reserve(arena, l);
    for (R *&c : cell) c = arena.take<R>(l.batch * l.hidden);
    zeros = arena.take<R>(std::max(l.pixels, l.n.latent));
    canvas = arena.take<R>(l.batch * l.pixels);
    if (l.gaussian) {
      x_lanes = arena.take<Vec<R>>(l.blocks * l.pixels);
    } else {
      of_x = arena.take<R>(l.batch * l.gates);
      x_operand = arena.take<Op>(l.batch * l.seen);
    }
    const int64_t rows = slice_blocks(l.blocks, threads) * LANES;
    for (auto &own : space) own.reserve(arena, l, rows);
    return arena.used;
  }

  bool encodes() const { return call.images; }
  R *parameter(Parameter which) const { return static_cast<R *>(call.parameters[which]); }
  R *const *parameters() const { return reinterpret_cast<R *const *>(call.parameters); }
  const R *noise(int64_t t, int64_t image) const {
    return image < l.n.batch
               ? static_cast<R *>(call.noise) + (t * l.n.batch + image) * l.n.latent
               : zeros;
  }
  const R *x(int64_t image) const {
    return image < l.n.batch ? static_cast<R *>(call.images) + image * l.pixels : zeros;
  }

  void run() {
    std::fill(zeros, zeros + std::max(l.pixels, l.n.latent), R(0));
    const int64_t step = slice_blocks(l.blocks, threads);
#pragma omp parallel num_threads(threads)
    {
      const FlushTiny flush;
      weights.pack(l, parameters());
      ForwardSpace<Op> &own = space[omp_get_thread_num()];
#pragma omp for schedule(static)
      for (int64_t first = 0; first < l.blocks; first += step)
        run_slice({first, std::min(step, l.blocks - first)}, own);
      if (products.release) products.release(true);
    }
  }

 private:
  void run_slice(Slice slice, ForwardSpace<Op> &own) {
    start(slice);
    for (int64_t t = 0; t < l.n.glimpses; t++) {
      if (encodes()) {
        look(t, slice, own);
        cell_step(ENC, t, slice, own);
        sample(t, slice);
      } else {
        take_noise(t, slice);
      }
      cell_step(DEC, t, slice, own);
      draw(t, slice, own);
    }
    finish(slice);
  }

  int64_t image_of(Slice slice) const { return slice.first * LANES; }
  int64_t rows_of(Slice slice) const { return slice.count * LANES; }

  void start(Slice slice) {
    const int64_t H = l.n.hidden;
    for (int64_t b = image_of(slice); b < image_of(slice) + rows_of(slice); b++) {
      Op *row = saved.row(l, 0, b);
      for (int64_t u = 0; u < l.hidden; u += LANES) {
        const int64_t left = std::max<int64_t>(0, H - u);
        const auto part = [&](Parameter which) { return load_part(parameter(which) + u, left); };
        store(row + u, part(H_ENC_0));
        store(row + l.h_dec_at + u, part(H_DEC_0));
        for (int which : {0, 1}) {
          const Vec<R> c = part(which ? C_DEC_0 : C_ENC_0);
          store(cell[which] + b * l.hidden + u, c);
          if (saved.whole) store(saved.cells[which] + b * l.hidden + u, c);
        }
      }
    }
    const R *canvas_0 = parameter(CANVAS_0);
    if (l.gaussian) {
      for (int64_t block = slice.first; block < slice.first + slice.count; block++) {
        for (int64_t p = 0; p < l.pixels; p++)
          store(canvas + (block * l.pixels + p) * LANES, splat(canvas_0[p]));
        if (encodes())
          to_lanes(image_rows(static_cast<R *>(call.images), l.pixels, block * LANES, l.n.batch),
                   l.pixels, x_lanes + block * l.pixels);
      }
      make_outputs(0, slice);
    } else {
      for (int64_t b = image_of(slice); b < image_of(slice) + rows_of(slice); b++) {
        std::copy(canvas_0, canvas_0 + l.pixels, canvas + b * l.pixels);
        if (encodes())
          for (int64_t p = 0; p < l.pixels; p += LANES)
            store_part(x_operand + b * l.seen + p, load_part(x(b) + p, l.pixels - p), l.seen - p);
      }
      if (encodes())
        product(rows_of(slice), x_operand + image_of(slice) * l.seen, l.seen, weights.of[X],
                of_x + image_of(slice) * l.gates, l.gates, false);
    }
  }

  // OUT at step t (of h_dec_{t-1}, counted from 0).
  void make_outputs(int64_t t, Slice slice) {
    const int64_t b = image_of(slice);
    product(rows_of(slice), saved.row(l, t, b) + l.h_dec_at, l.width, weights.of[OUT],
            saved.out(l, t, b), l.outputs, false);
  }

  // (3-4): r from the image and the error image.
  void look(int64_t t, Slice slice, ForwardSpace<Op> &own) {
    for (int64_t block = slice.first; block < slice.first + slice.count; block++) {
      const int64_t b = block * LANES, first = block * l.pixels * LANES;
      auto *keep = saved.whole ? saved.sigmoid + t * l.batch * l.pixels + first : nullptr;
      if (!l.gaussian) {
        for (int64_t i = 0; i < LANES; i++)
          for (int64_t p = 0; p < l.pixels; p += LANES) {
            const int64_t at = i * l.pixels + p, left = l.pixels - p;
            const Vec<R> s = sigmoid(load_part(canvas + first + at, left));
            if (keep) store_part(keep + at, s, left);
            store_part(saved.row(l, t, b + i) + l.r_at + p, Vec<R>(load_part(x(b + i) + p, left) - s),
                       l.seen - p);
          }
        continue;
      }
      for (int64_t p = 0; p < l.pixels; p++) {
        own.sigmoid[p] = sigmoid(load(canvas + first + p * LANES));
        if (keep) store(keep + p * LANES, own.sigmoid[p]);
      }
      outputs_to_lanes(t, b, LANES, own.outputs);
      export_controls(call.read_controls, t, b, own.outputs);
      read(own.outputs, l.reading, x_lanes + block * l.pixels, own.sigmoid, own.seen, own.reading);
      Rows<Op> rows;
      for (int64_t i = 0; i < LANES; i++) rows.row[i] = saved.row(l, t, b + i) + l.r_at;
      from_lanes(own.seen, l.features, rows);
    }
  }

  // (5) and (7): one LSTM, from the activations at t to its h at t + 1.
  void cell_step(Which which, int64_t t, Slice slice, ForwardSpace<Op> &own) {
    const int64_t b = image_of(slice), rows = rows_of(slice), decoder = which == DEC;
    const Packed<Op> &B = weights.of[which];
    for (int64_t j = 0; j < B.blocks(); j++) {
      gemm(rows, BLOCK, B.K, saved.row(l, t, b) + l.operand_at(which), l.width, B.block(j),
           own.product, BLOCK, false);
      const bool more = which == ENC && !l.gaussian;
      Op *gates = nullptr, *cells = nullptr;
      if (saved.whole) {
        gates = saved.gates[decoder] + (t * l.batch + b) * l.gates + j * BLOCK;
        cells = saved.cells[decoder] + ((t + 1) * l.batch + b) * l.hidden + j * LANES;
      }
      lstm_block(rows, own.product, weights.bias[which] + j * BLOCK,
                 more ? of_x + b * l.gates + j * BLOCK : nullptr, l.gates,
                 cell[decoder] + b * l.hidden + j * LANES, l.hidden,
                 saved.row(l, t + 1, b) + (decoder ? l.h_dec_at : 0) + j * LANES, l.width, gates,
                 l.gates, cells);
    }
  }

  // (1-2, 6): z, the KL of this step, and log p(z) / q(z | x).
  void sample(int64_t t, Slice slice) {
    const int64_t b0 = image_of(slice), Z = l.n.latent;
    product(rows_of(slice), saved.row(l, t + 1, b0), l.width, weights.of[POST],
            saved.post(l, t, b0), l.posterior, false);
    const R *bias = weights.bias[POST];
    for (int64_t b = b0; b < b0 + rows_of(slice); b++) {
      const R *post = saved.post(l, t, b), *epsilon = noise(t, b);
      Op *z_to = saved.row(l, t, b) + l.z_at;
      Vec<R> kl = {}, ratio = {};
      for (int64_t j = 0; j < Z; j += LANES) {
        const int64_t left = Z - j;
        const Vec<R> mu = load_part(post + j, left) + load_part(bias + j, left);
        const Vec<R> log_sigma = load_part(post + Z + j, left) + load_part(bias + Z + j, left);
        const Vec<R> sigma = exp(log_sigma), eps = load_part(epsilon + j, left);
        const Vec<R> z = mu + sigma * eps;
        store_part(z_to + j, z, l.latent - j);
        kl += R(0.5) * (mu * mu + sigma * sigma - 1) - log_sigma;  // 0 in lanes past the end
        ratio += R(0.5) * (eps * eps - z * z) + log_sigma;
      }
      if (b >= l.n.batch) continue;
      static_cast<R *>(call.kl)[b * l.n.glimpses + t] = sum(kl);
      R &log_ratio = static_cast<R *>(call.log_ratio)[b];
      log_ratio = sum(ratio) + (t ? log_ratio : R(0));
    }
  }

  // (13): in generation the noise is z.
  void take_noise(int64_t t, Slice slice) {
    for (int64_t b = image_of(slice); b < image_of(slice) + rows_of(slice); b++)
      for (int64_t j = 0; j < l.n.latent; j += LANES)
        store_part(saved.row(l, t, b) + l.z_at + j, load_part(noise(t, b) + j, l.n.latent - j),
                   l.latent - j);
  }

  // (8, 15): what the decoder adds to the canvas.
  void draw(int64_t t, Slice slice, ForwardSpace<Op> &own) {
    make_outputs(t + 1, slice);
    for (int64_t block = slice.first; block < slice.first + slice.count; block++) {
      const int64_t b = block * LANES;
      R *own_canvas = canvas + block * l.pixels * LANES;
      if (l.gaussian) {
        outputs_to_lanes(t + 1, b, l.outputs, own.outputs);
        export_controls(call.write_controls, t, b, own.outputs + CONTROLS);
        write(own.outputs + CONTROLS, l.writing, own.outputs + 2 * CONTROLS,
              reinterpret_cast<Vec<R> *>(own_canvas), own.writing);
      } else {
        for (int64_t i = 0; i < LANES; i++) {
          const R *written = saved.out(l, t + 1, b + i), *bias = weights.bias[OUT];
          for (int64_t p = 0; p < l.pixels; p++)
            own_canvas[i * l.pixels + p] += written[p] + bias[p];
        }
      }
      if (call.canvases)
        export_canvas(static_cast<R *>(call.canvases) + t * l.n.batch * l.pixels, block);
    }
  }

  // Columns [0, count) of OUT at t, with bias, one image per lane.
  void outputs_to_lanes(int64_t t, int64_t b, int64_t count, Vec<R> *lanes) {
    to_lanes(image_rows(saved.out(l, t, b), l.outputs, 0, LANES), count, lanes);
    for (int64_t j = 0; j < count; j++) lanes[j] += weights.bias[OUT][j];
  }

  void export_controls(void *to, int64_t t, int64_t b, const Vec<R> *controls) {
    if (to)
      from_lanes(controls, CONTROLS, image_rows(static_cast<R *>(to) + t * l.n.batch * CONTROLS,
                                                CONTROLS, b, l.n.batch));
  }

  void export_canvas(R *to, int64_t block) {
    const R *from = canvas + block * l.pixels * LANES;
    const int64_t b = block * LANES, images = std::min<int64_t>(LANES, l.n.batch - b);
    if (l.gaussian)
      from_lanes(reinterpret_cast<const Vec<R> *>(from), l.pixels,
                 image_rows(to, l.pixels, b, l.n.batch));
    else
      std::copy(from, from + images * l.pixels, to + b * l.pixels);
  }

  void finish(Slice slice) {
    for (int64_t b = image_of(slice); saved.whole && b < image_of(slice) + rows_of(slice); b++) {
      Op *row = saved.row(l, l.n.glimpses, b);  // no step follows that would look and sample
      std::memset(static_cast<void *>(row + l.r_at), 0, l.seen * sizeof(Op));
      std::memset(static_cast<void *>(row + l.z_at), 0, l.latent * sizeof(Op));
    }
    for (int64_t block = slice.first; block < slice.first + slice.count; block++)
      export_canvas(static_cast<R *>(call.canvas), block);
  }
};

}  // namespace draw
