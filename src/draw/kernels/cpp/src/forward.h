// The whole sequence forward: each thread takes some images through all steps, without waiting
// for the others.
#pragma once

#include "pass.h"

namespace draw {

// What one thread needs for one step of its images.
template <class Op> struct ForwardSpace {
  using R = Real<Op>;
  R *product;              // [4 blocks of images, 64]
  Vec<R> *sigmoid, *seen, *outputs;
  WindowSpace<R> reading, writing;

  void reserve(Arena &arena, const Layout<Op> &l, int64_t rows) {
    product = arena.take<R>(rows * BLOCK);
    if (!l.windows) return;
    sigmoid = arena.take<Vec<R>>(l.pixels);
    seen = arena.take<Vec<R>>(l.features);
    outputs = arena.take<Vec<R>>(l.outputs);
    reading.reserve(arena, l.reading);
    writing.reserve(arena, l.writing);
  }
};

template <class Op> struct Forward : DrawingPass<Op, ForwardWeights, ForwardSpace<Op>> {
  using Base = DrawingPass<Op, ForwardWeights, ForwardSpace<Op>>;
  using Base::Base, Base::l, Base::call, Base::saved, Base::weights, Base::bias, Base::noise;
  using R = Real<Op>;
  R *cell[2];     // the LSTMs' c, [batch, hidden]
  R *addend[2];   // to the gates at every step, or null: [batch, gates]
  Op *x_operand;  // without attention: x as operand, [batch, seen]
  R *canvas;

  void reserve(Arena &arena) {
    Base::reserve(arena);
    for (R *&c : cell) c = arena.take<R>(l.batch * l.hidden);
    canvas = arena.take<R>(l.batch * l.pixels);
    for (int which : {0, 1}) {
      const bool adds = call.context(which) || (!which && !l.windows);
      addend[which] = adds ? arena.take<R>(l.batch * l.gates) : nullptr;
    }
    if (!l.windows) x_operand = arena.take<Op>(l.batch * l.seen);
  }

  void run() {
    this->in_threads([&](ForwardSpace<Op> &own) {
      this->each_slice([&](Slice slice) { run_slice(slice, own); });
    });
  }

 private:
  bool encodes() const { return call.images; }
  R *parameter(Parameter which) const { return static_cast<R *>(call.parameters[which]); }
  const R *x(int64_t image) const {
    return image < l.n.batch ? static_cast<R *>(call.images) + image * l.pixels : this->zeros;
  }

  void run_slice(Slice slice, ForwardSpace<Op> &own) {
    start(slice);
    for (int64_t t = 0; t < l.n.glimpses; t++) {
      if (encodes()) {
        look(t, slice, own);
        cell_step(ENC, t, slice, own);
        sample(t, slice);
      } else {
        sample_prior(t, slice);
      }
      cell_step(DEC, t, slice, own);
      draw(t, slice, own);
    }
    finish(slice);
  }

  void start(Slice slice) {
    const int64_t H = l.n.hidden;
    this->fill_unit_mask(slice);
    for (int64_t b = slice.image(); b < slice.image() + slice.rows(); b++) {
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
    if (l.windows) {
      for (int64_t block = slice.first; block < slice.end(); block++)
        for (int64_t p = 0; p < l.pixels; p++)
          store(canvas + (block * l.pixels + p) * LANES, splat(canvas_0[p]));
      if (encodes()) this->images_to_lanes(call.images, slice, this->x_lanes);
      make_outputs(0, slice);
    } else {
      for (int64_t b = slice.image(); b < slice.image() + slice.rows(); b++) {
        std::copy(canvas_0, canvas_0 + l.pixels, canvas + b * l.pixels);
        if (encodes())
          for (int64_t p = 0; p < l.pixels; p += LANES)
            store_part(x_operand + b * l.seen + p, load_part(x(b) + p, l.pixels - p), l.seen - p);
      }
      if (encodes())
        product(slice.rows(), x_operand + slice.image() * l.seen, l.seen, weights.of[X],
                addend[0] + slice.image() * l.gates, l.gates, false);
    }
    if (encodes()) add_context(0, slice);
    add_context(1, slice);
  }

  // What the drawings are told, beside x's share of the encoder's gates without attention.
  void add_context(int decoder, Slice slice) {
    const R *context = static_cast<R *>(call.context(decoder));
    if (!context) return;
    for (int64_t b = slice.image(); b < slice.image() + slice.rows(); b++)
      this->each_gate([&](int64_t column, int64_t at, int64_t count) {
        R *to = addend[decoder] + b * l.gates + column;
        const Vec<R> before = decoder || l.windows ? Vec<R>{} : load(to);
        const Vec<R> more =
            b < l.n.batch ? load_part(context + b * 4 * l.n.hidden + at, count) : Vec<R>{};
        store(to, Vec<R>(before + more));
      });
  }

  // OUT at step t (of h_dec_{t-1}, counted from 0).
  void make_outputs(int64_t t, Slice slice) {
    const int64_t b = slice.image();
    product(slice.rows(), saved.row(l, t, b) + l.h_dec_at, l.width, weights.of[OUT],
            saved.out(l, t, b), l.outputs, false);
  }

  // (3-4): r from the image and the error image.
  void look(int64_t t, Slice slice, ForwardSpace<Op> &own) {
    for (int64_t block = slice.first; block < slice.end(); block++) {
      const int64_t b = block * LANES, first = block * l.pixels * LANES;
      auto *keep = saved.whole ? saved.sigmoid + t * l.batch * l.pixels + first : nullptr;
      if (!l.windows) {
        for (int64_t i = 0; i < LANES; i++)
          for (int64_t p = 0; p < l.pixels; p += LANES) {
            const int64_t at = i * l.pixels + p, left = l.pixels - p;
            const Vec<R> s = sigmoid(load_part(canvas + first + at, left));
            if (keep) store_part(keep + at, s, left);
            const Vec<R> error = load_part(x(b + i) + p, left) - s;
            store_part(saved.row(l, t, b + i) + l.r_at + p, error, l.seen - p);
          }
        continue;
      }
      for (int64_t p = 0; p < l.pixels; p++) {
        own.sigmoid[p] = sigmoid(load(canvas + first + p * LANES));
        if (keep) store(keep + p * LANES, own.sigmoid[p]);
      }
      this->read_controls_to_lanes(t, b, own.outputs);
      export_controls(call.read_controls, l.reading, t, b, own.outputs);
      read(own.outputs, l.reading, this->x_lanes + block * l.pixels, own.sigmoid, own.seen,
           own.reading);
      Rows<Op> rows;
      for (int64_t i = 0; i < LANES; i++) rows.row[i] = saved.row(l, t, b + i) + l.r_at;
      from_lanes(own.seen, l.features, rows);
    }
  }

  // (5) and (7): one LSTM, from the activations at t to its h at t + 1.
  void cell_step(Which which, int64_t t, Slice slice, ForwardSpace<Op> &own) {
    const int64_t b = slice.image(), rows = slice.rows(), decoder = which == DEC;
    const Packed<Op> &B = weights.of[which];
    for (int64_t j = 0; j < B.blocks(); j++) {
      gemm(rows, BLOCK, B.K, saved.row(l, t, b) + l.operand_at(which), l.width, B.block(j),
           own.product, BLOCK, false);
      Op *gates = nullptr, *cells = nullptr;
      if (saved.whole) {
        gates = saved.gates[decoder] + (t * l.batch + b) * l.gates + j * BLOCK;
        cells = saved.cells[decoder] + ((t + 1) * l.batch + b) * l.hidden + j * LANES;
      }
      lstm_block(rows, own.product, bias[which] + j * BLOCK,
                 addend[decoder] ? addend[decoder] + b * l.gates + j * BLOCK : nullptr, l.gates,
                 cell[decoder] + b * l.hidden + j * LANES, l.hidden,
                 this->unit_mask_of(decoder, b, j * LANES),
                 saved.row(l, t + 1, b) + (decoder ? l.h_dec_at : 0) + j * LANES, l.width, gates,
                 l.gates, cells);
    }
  }

  // (1-2, 6): z, the KL of this step, and log p(z) / q(z | x).
  void sample(int64_t t, Slice slice) {
    const int64_t b0 = slice.image(), Z = l.n.latent;
    product(slice.rows(), saved.row(l, t + 1, b0), l.width, weights.of[POST],
            saved.post(l, t, b0), l.codes, false);
    if (l.learned) expect(t, slice);
    for (int64_t b = b0; b < b0 + slice.rows(); b++) {
      const R *post = saved.post(l, t, b), *epsilon = noise(t, b);
      Op *z_to = saved.row(l, t, b) + l.z_at;
      Vec<R> kl = {}, ratio = {};
      for (int64_t j = 0; j < Z; j += LANES) {
        const Normal<R> q = this->normal(POST, post, j);
        const Vec<R> eps = load_part(epsilon + j, Z - j);
        const Code<R> code =
            l.learned ? draw::sample(q, this->normal(PRIOR, saved.expected(l, t, b), j), eps)
                      : draw::sample(q, eps);
        store_part(z_to + j, code.z, l.latent - j);
        kl += code.kl;
        ratio += code.log_ratio;
      }
      if (b >= l.n.batch) continue;
      static_cast<R *>(call.kl)[b * l.n.glimpses + t] = sum(kl);
      R &log_ratio = static_cast<R *>(call.log_ratio)[b];
      log_ratio = sum(ratio) + (t ? log_ratio : R(0));
    }
  }

  // What the learned prior expects of z.
  void expect(int64_t t, Slice slice) {
    const int64_t b = slice.image();
    product(slice.rows(), saved.row(l, t, b) + l.h_dec_at, l.width, weights.of[PRIOR],
            saved.expected(l, t, b), l.codes, false);
  }

  // (13): in generation z is the prior's, the standard one's is the noise.
  void sample_prior(int64_t t, Slice slice) {
    if (l.learned) expect(t, slice);
    for (int64_t b = slice.image(); b < slice.image() + slice.rows(); b++)
      for (int64_t j = 0; j < l.n.latent; j += LANES) {
        Vec<R> z = load_part(noise(t, b) + j, l.n.latent - j);
        if (l.learned) z = draw::sample(this->normal(PRIOR, saved.expected(l, t, b), j), z).z;
        store_part(saved.row(l, t, b) + l.z_at + j, z, l.latent - j);
      }
  }

  // (8, 15): what the decoder adds to the canvas.
  void draw(int64_t t, Slice slice, ForwardSpace<Op> &own) {
    make_outputs(t + 1, slice);
    for (int64_t block = slice.first; block < slice.end(); block++) {
      const int64_t b = block * LANES;
      R *own_canvas = canvas + block * l.pixels * LANES;
      if (l.windows) {
        this->outputs_to_lanes(t + 1, b, l.outputs, own.outputs);
        export_controls(call.write_controls, l.writing, t, b, own.outputs + l.write_at);
        write(own.outputs + l.write_at, l.writing, own.outputs + l.content_at,
              reinterpret_cast<Vec<R> *>(own_canvas), own.writing);
      } else {
        for (int64_t i = 0; i < LANES; i++) {
          const R *written = saved.out(l, t + 1, b + i);
          for (int64_t p = 0; p < l.pixels; p++)
            own_canvas[i * l.pixels + p] += written[p] + bias[OUT][p];
        }
      }
    }
    if (call.canvases)
      this->export_canvas(canvas, slice,
                          static_cast<R *>(call.canvases) + t * l.n.batch * l.pixels);
  }

  void export_controls(void *to, const Grid &grid, int64_t t, int64_t b, const Vec<R> *controls) {
    const int64_t count = grid.controls();
    if (to)
      from_lanes(controls, count,
                 image_rows(static_cast<R *>(to) + t * l.n.batch * count, count, b, l.n.batch));
  }

  void finish(Slice slice) {
    for (int64_t b = slice.image(); saved.whole && b < slice.image() + slice.rows(); b++) {
      Op *row = saved.row(l, l.n.glimpses, b);  // no step follows that would look and sample
      std::memset(static_cast<void *>(row + l.r_at), 0, l.seen * sizeof(Op));
      std::memset(static_cast<void *>(row + l.z_at), 0, l.latent * sizeof(Op));
    }
    this->export_canvas(canvas, slice, call.canvas);
  }
};

}  // namespace draw
