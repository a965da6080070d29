// The whole sequence backward: the recurrence in chunks of steps, and after each chunk its part of
// every weight's gradient, as one product over all steps and images of the chunk.
#pragma once

#include "gradients.h"
#include "pass.h"

namespace draw {

// What one thread needs for one step of its images.
template <class Op> struct BackwardSpace {
  using R = Real<Op>;
  Op *dgates, *dposterior, *dprior, *doutputs;  // [rows, columns] of the product
  Vec<R> *sigmoid, *outputs, *slopes, *seen;
  WindowSpace<R> reading, writing;

  void reserve(Arena &arena, const Layout<Op> &l, int64_t rows) {
    dgates = arena.take<Op>(rows * l.gates);
    dposterior = arena.take<Op>(rows * l.codes);
    dprior = l.learned ? arena.take<Op>(rows * l.codes) : nullptr;
    doutputs = arena.take<Op>(rows * l.outputs);
    if (!l.windows) return;
    sigmoid = arena.take<Vec<R>>(l.pixels);
    outputs = arena.take<Vec<R>>(l.outputs);
    slopes = arena.take<Vec<R>>(l.outputs);
    seen = arena.take<Vec<R>>(l.features);
    reading.reserve(arena, l.reading);
    writing.reserve(arena, l.writing);
  }
};

template <class Op> struct Backward : DrawingPass<Op, BackwardWeights, BackwardSpace<Op>> {
  using Base = DrawingPass<Op, BackwardWeights, BackwardSpace<Op>>;
  using Base::Base, Base::l, Base::call, Base::saved, Base::weights, Base::bias;
  using R = Real<Op>;
  int64_t chunk = std::clamp<int64_t>(CHUNK / l.batch, 1, l.n.glimpses);  // steps in a chunk
  R *dcanvas, *dx;             // laid out as a canvas
  R *drow;                     // gradient of the activations, [batch, width]
  R *dcell[2];                 // [batch, hidden]
  Vec<R> *dread;               // controls of the next step's read windows, [blocks, controls]
  R *dgates_sum[2];            // of what is added at every step, or null: [batch, gates]
  Op *dgates_total;            // without attention: the encoder's as operand
  Op *transposed;              // activations of a chunk, [width, (chunk + 1) * batch]
  Op *x_transposed;            // [seen, batch]
  WeightGradients<Layout<Op>> slopes;  // its panels hold a chunk of steps

  void reserve(Arena &arena) {
    Base::reserve(arena);
    const int64_t b = l.batch;
    dcanvas = arena.take<R>(b * l.pixels);
    dx = call.dimages ? arena.take<R>(b * l.pixels) : nullptr;
    drow = arena.take<R>(b * l.width);
    for (R *&c : dcell) c = arena.take<R>(b * l.hidden);
    transposed = arena.take<Op>((chunk + 1) * b * l.width);
    for (int which : {0, 1}) {
      const bool adds = call.dcontext(which) || (!which && !l.windows);
      dgates_sum[which] = adds ? arena.take<R>(b * l.gates) : nullptr;
    }
    if (l.windows) {
      dread = arena.take<Vec<R>>(l.blocks * l.write_at);
    } else {
      dgates_total = arena.take<Op>(b * l.gates);
      x_transposed = arena.take<Op>(l.seen * b);
    }
    slopes.reserve(arena, l, [&](Which which) {
      return b * (which == X ? 1 : which == OUT ? chunk + 1 : chunk);
    });
  }

  void run() {
    this->in_threads([&](BackwardSpace<Op> &own) {
      this->each_slice([&](Slice slice) { start(slice); });
      for (int64_t end = l.n.glimpses; end > 0; end -= std::min(chunk, end)) {
        const int64_t begin = std::max<int64_t>(0, end - chunk);
        this->each_slice([&](Slice slice) { run_slice(begin, end, slice, own); });
        weight_gradients(begin, end);
      }
      if (!l.windows) gradients_through_x();
      slopes.give_out(l, this->gradients());
      if (dx) this->each_slice([&](Slice s) { this->export_canvas(dx, s, call.dimages); });
      for (int which : {0, 1})
        if (call.dcontext(which)) this->each_slice([&](Slice s) { export_context(which, s); });
    });
    sum_over_images();
  }

 private:
  R *drow_of(int64_t image) const { return drow + image * l.width; }
  Vec<R> *dread_of(int64_t block) const { return dread + block * l.write_at; }

  void start(Slice slice) {
    const int64_t b = slice.image(), rows = slice.rows();
    this->fill_unit_mask(slice);
    const auto clear = [&](R *all, int64_t width) {
      if (all) std::fill(all + b * width, all + (b + rows) * width, R(0));
    };
    clear(drow, l.width);
    clear(dcell[0], l.hidden);
    clear(dcell[1], l.hidden);
    clear(dx, l.pixels);
    for (R *sum : dgates_sum) clear(sum, l.gates);
    if (l.windows) {
      this->images_to_lanes(call.images, slice, this->x_lanes);
      this->images_to_lanes(call.dcanvas, slice, reinterpret_cast<Vec<R> *>(dcanvas));
      std::fill(dread_of(slice.first), dread_of(slice.end()), Vec<R>{});
    } else {
      clear(dcanvas, l.pixels);
      const R *from = static_cast<R *>(call.dcanvas);
      std::copy(from + b * l.pixels, from + std::min(b + rows, l.n.batch) * l.pixels,
                dcanvas + b * l.pixels);
    }
  }

  // Steps [begin, end) from the last to the first; slot of step t in the chunk's arrays: t - begin.
  void run_slice(int64_t begin, int64_t end, Slice slice, BackwardSpace<Op> &own) {
    const int64_t b = slice.image(), rows = slice.rows();
    for (int64_t t = end - 1; t >= begin; t--) {
      const int64_t k = (t - begin) * l.batch + b;
      undraw(t, slice, own, k + l.batch);
      cell_step(DEC, t, slice, own, k);
      product(rows, own.dgates, l.gates, weights.of[DEC], drow_of(b) + l.h_dec_at, l.width, false);
      unsample(t, slice, own, k);
      cell_step(ENC, t, slice, own, k);
      for (int64_t image = b; image < b + rows; image++)
        std::fill(drow_of(image), drow_of(image) + l.h_dec_at, R(0));
      product(rows, own.dgates, l.gates, weights.of[ENC], drow_of(b), l.width, true);
      unlook(t, slice, own);
    }
    if (begin == 0 && l.windows) undraw(-1, slice, own, b);
  }

  // Gradient of (8): the patches, their windows, and the next read windows, all made from h_dec_t;
  // from h_dec_0, at t = -1, the read windows alone.
  void undraw(int64_t t, Slice slice, BackwardSpace<Op> &own, int64_t k) {
    for (int64_t block = slice.first; block < slice.end(); block++) {
      const int64_t b = block * LANES;
      R *slope = dcanvas + block * l.pixels * LANES;
      Op *to = own.doutputs + (b - slice.image()) * l.outputs;
      if (l.windows) {
        std::fill(own.slopes, own.slopes + l.outputs, Vec<R>{});
        std::copy(dread_of(block), dread_of(block + 1), own.slopes);
        if (t >= 0) {
          this->outputs_to_lanes(t + 1, b, l.outputs, own.outputs);
          write_backward(own.outputs + l.write_at, l.writing, own.outputs + l.content_at,
                         reinterpret_cast<Vec<R> *>(slope), own.slopes + l.content_at,
                         own.slopes + l.write_at, own.writing);
        }
        slopes.from_lanes(OUT, own.slopes, to, k + b - slice.image());
      } else {
        for (int64_t i = 0; i < LANES; i += 2)
          for (int64_t p = 0; p < l.outputs; p += LANES) {
            const R *from = slope + i * l.pixels + p;
            slopes.store_pair(OUT, to + i * l.outputs, k + b - slice.image() + i, p,
                              load_part(from, l.pixels - p),
                              load_part(from + l.pixels, l.pixels - p));
          }
      }
    }
    product(slice.rows(), own.doutputs, l.outputs, weights.of[OUT],
            drow_of(slice.image()) + l.h_dec_at, l.width, true);
  }

  // Gradient of (5) and (7), from h at t + 1 to the gates.
  void cell_step(Which which, int64_t t, Slice slice, BackwardSpace<Op> &own, int64_t k) {
    const int64_t b = slice.image(), decoder = which == DEC;
    const Op *gates = saved.gates[decoder] + (t * l.batch + b) * l.gates;
    const Op *before = saved.cells[decoder] + (t * l.batch + b) * l.hidden;
    R *total = dgates_sum[decoder];
    for (int64_t j = 0; j < l.hidden / LANES; j++)
      lstm_block_backward(slice.rows(), gates + j * BLOCK, l.gates,
                          before + l.batch * l.hidden + j * LANES, before + j * LANES, l.hidden,
                          drow_of(b) + (decoder ? l.h_dec_at : 0) + j * LANES, l.width,
                          this->unit_mask_of(decoder, b, j * LANES),
                          dcell[decoder] + b * l.hidden + j * LANES, own.dgates + j * BLOCK,
                          l.gates, slopes.panels[which].block(j), k,
                          total ? total + b * l.gates + j * BLOCK : nullptr);
  }

  // Gradient of (1-2), (6), of the learned prior, and of the losses on the codes.
  void unsample(int64_t t, Slice slice, BackwardSpace<Op> &own, int64_t k) {
    const int64_t b0 = slice.image(), Z = l.n.latent;
    for (int64_t b = b0; b < b0 + slice.rows(); b++) {
      const bool real = b < l.n.batch;
      const R *post = saved.post(l, t, b), *dz = drow_of(b) + l.z_at, *epsilon = this->noise(t, b);
      const R dkl = real ? static_cast<R *>(call.dkl)[b * l.n.glimpses + t] : R(0);
      const R dratio = real ? static_cast<R *>(call.dlog_ratio)[b] : R(0);
      R *dnoise = real && call.dnoise
                      ? static_cast<R *>(call.dnoise) + (t * l.n.batch + b) * Z : nullptr;
      const auto put = [&](Op *rows, int64_t j, const Normal<R> &slope) {
        Op *to = rows + (b - b0) * l.codes;
        if (j == 0) store(to + l.codes - LANES, Vec<R>{});  // the padding
        store_part(to + j, slope.mu, Z - j);
        store_part(to + Z + j, slope.log_sigma, Z - j);
      };
      for (int64_t j = 0; j < Z; j += LANES) {
        const int64_t left = Z - j;
        const Normal<R> q = this->normal(POST, post, j);
        const Vec<R> eps = load_part(epsilon + j, left), slope = load_part(dz + j, left);
        CodeSlopes<R> d;
        if (l.learned) {
          const Normal<R> p = this->normal(PRIOR, saved.expected(l, t, b), j);
          d = sample_backward(q, p, eps, slope, dkl, dratio);
          put(own.dprior, j, d.p);
        } else {
          d = sample_backward(q, eps, slope, dkl, dratio);
        }
        put(own.dposterior, j, d.q);
        if (dnoise) store_part(dnoise + j, d.noise, left);
      }
    }
    pass_on(POST, own.dposterior, slice, k);
    if (l.learned) pass_on(PRIOR, own.dprior, slice, k);
  }

  // From the slopes of POST or PRIOR to those of h_enc_t or h_dec_{t-1}.
  void pass_on(Which which, const Op *rows, Slice slice, int64_t k) {
    for (int64_t i = 0; i < slice.rows(); i += 2)
      for (int64_t j = 0; j < l.codes; j += LANES) {
        const Op *from = rows + i * l.codes + j;
        slopes.store_in_panel(which, k + i, j, load(from), load(from + l.codes));
      }
    product(slice.rows(), rows, l.codes, weights.of[which],
            drow_of(slice.image()) + l.operand_at(which), l.width, true);
  }

  // Gradient of (3-4): the canvas before this step, and the controls of its read windows.
  void unlook(int64_t t, Slice slice, BackwardSpace<Op> &own) {
    for (int64_t block = slice.first; block < slice.end(); block++) {
      const int64_t b = block * LANES, first = block * l.pixels * LANES;
      const auto *kept = saved.sigmoid + t * l.batch * l.pixels + first;
      if (!l.windows) {
        for (int64_t i = 0; i < LANES; i++)
          for (int64_t p = 0; p < l.pixels; p += LANES) {
            const int64_t at = i * l.pixels + p, left = l.pixels - p;
            const Vec<R> s = load_part(kept + at, left);
            const Vec<R> slope = load_part(drow_of(b + i) + l.r_at + p, left);
            R *to = dcanvas + first + at;
            store_part(to, Vec<R>(load_part(to, left) - s * (1 - s) * slope), left);
            if (!dx) continue;
            to = dx + first + at;
            store_part(to, Vec<R>(load_part(to, left) + slope), left);
          }
        continue;
      }
      for (int64_t p = 0; p < l.pixels; p++) own.sigmoid[p] = load(kept + p * LANES);
      this->read_controls_to_lanes(t, b, own.outputs);
      to_lanes(image_rows(drow + l.r_at, l.width, b, l.batch), l.features, own.seen);
      read_backward(own.outputs, l.reading, this->x_lanes + block * l.pixels, own.sigmoid, own.seen,
                    dread_of(block), reinterpret_cast<Vec<R> *>(dcanvas + first),
                    dx ? reinterpret_cast<Vec<R> *>(dx + first) : nullptr, own.reading);
    }
  }

  // Adds the chunk's part to every weight's gradient. To be called by all threads.
  void weight_gradients(int64_t begin, int64_t end) {
    const int64_t rows = (chunk + 1) * l.batch, steps = end - begin;
#pragma omp for schedule(static) collapse(2)
    for (int64_t slot = 0; slot <= steps; slot++)
      for (int64_t block = 0; block < l.blocks; block++) {
        const int64_t b = block * LANES;
        transpose_operand(saved.row(l, begin + slot, b), l.width, l.width,
                          transposed + slot * l.batch + b, rows);
      }
    int64_t last[PRODUCTS], tasks = 0;
    for (const Which which : l.EACH)
      last[which] = tasks += which == X || !l.has(which) ? 0 : slopes.panels[which].blocks();
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < tasks; task++) {
      Which which = ENC;
      while (task >= last[which]) which = Which(which + 1);
      const int64_t j = slopes.panels[which].blocks() - (last[which] - task);
      // POST and OUT come after the cells: their operands are h of the next slot. h_dec_0 makes the
      // read windows of the first step.
      const bool start = which == OUT && begin == 0 && l.windows;
      const int64_t slot = start ? 0 : which == POST || which == OUT;
      const int64_t count = start ? steps + 1 : steps;
      const int64_t k = which == OUT ? slot * l.batch : 0;
      slopes.accumulate(which, j, transposed + l.operand_at(which) * rows + slot * l.batch, rows, k,
                 count * l.batch, end < l.n.glimpses);
    }
  }

  // Without attention: what the image itself adds to the gates, once for all steps.
  void gradients_through_x() {
#pragma omp for schedule(static)
    for (int64_t block = 0; block < l.blocks; block++) {
      const int64_t b = block * LANES;
      for (int64_t i = 0; i < LANES; i += 2)
        for (int64_t j = 0; j < l.gates; j += LANES) {
          const int64_t at = (b + i) * l.gates + j;
          slopes.store_pair(X, dgates_total + (b + i) * l.gates, b + i, j,
                            load(dgates_sum[0] + at), load(dgates_sum[0] + at + l.gates));
        }
      const Rows<R> images = image_rows(static_cast<R *>(call.images), l.pixels, b, l.n.batch);
      for (int64_t p = 0; p < l.pixels; p += LANES) {
        Tile<R> tile = load_tile<R>(const_cast<const R *const *>(images.row), p, l.pixels);
        transpose(tile.row);
        for (int64_t i = 0; i < std::min<int64_t>(LANES, l.seen - p); i++)
          store(x_transposed + (p + i) * l.batch + b, tile.row[i]);
      }
    }
#pragma omp for schedule(dynamic)
    for (int64_t j = 0; j < slopes.panels[X].blocks(); j++)
      slopes.accumulate(X, j, x_transposed, l.batch, 0, l.batch, false);
    if (!dx) return;
    this->each_slice([&](Slice slice) { add_to_dx(slice); });
  }
  void add_to_dx(Slice slice) {
    const int64_t b = slice.image();
    product(slice.rows(), dgates_total + b * l.gates, l.gates, weights.of[X], drow_of(b) + l.r_at,
            l.width, false);
    for (int64_t image = b; image < b + slice.rows(); image++)
      for (int64_t p = 0; p < l.pixels; p++)
        dx[image * l.pixels + p] += drow_of(image)[l.r_at + p];
  }

  // What was told was added at every step: its gradient is the sum of the gates'.
  void export_context(int decoder, Slice slice) {
    const int64_t last = std::min(slice.image() + slice.rows(), l.n.batch);
    for (int64_t b = slice.image(); b < last; b++)
      this->each_gate([&](int64_t column, int64_t at, int64_t count) {
        store_part(static_cast<R *>(call.dcontext(decoder)) + b * 4 * l.n.hidden + at,
                   load(dgates_sum[decoder] + b * l.gates + column), count);
      });
  }

  // The learned start of every drawing gets the sum over the images.
  void sum_over_images() {
    R *const *d = this->gradients();
    std::fill(d[CANVAS_0], d[CANVAS_0] + l.pixels, R(0));
    for (int64_t block = 0; block < l.blocks; block++)
      for (int64_t p = 0; p < l.pixels; p++)
        for (int64_t i = 0; i < LANES; i++)
          d[CANVAS_0][p] +=
              dcanvas[block * l.pixels * LANES + (l.windows ? p * LANES + i : i * l.pixels + p)];
    sum_rows(drow, l.width, l.n.batch, l.n.hidden, d[H_ENC_0]);
    sum_rows(drow + l.h_dec_at, l.width, l.n.batch, l.n.hidden, d[H_DEC_0]);
    sum_rows(dcell[0], l.hidden, l.n.batch, l.n.hidden, d[C_ENC_0]);
    sum_rows(dcell[1], l.hidden, l.n.batch, l.n.hidden, d[C_DEC_0]);
  }
};

}  // namespace draw
