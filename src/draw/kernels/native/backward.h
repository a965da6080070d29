// The whole sequence backward: the recurrence in chunks of steps, and after each chunk its part of
// every weight's gradient, as one product over all steps and images of the chunk.
#pragma once

#include "forward.h"
#include "gradients.h"

namespace draw {

// What one thread needs for one step of its images.
template <class Op> struct BackwardSpace {
  using R = Real<Op>;
  Op *dgates, *dposterior, *doutputs;  // [rows, columns] of the product
  Vec<R> *sigmoid, *outputs, *slopes, *seen;
  WindowSpace<R> reading, writing;

  void reserve(Arena &arena, const Layout<Op> &l, int64_t rows) {
    dgates = arena.take<Op>(rows * l.gates);
    dposterior = arena.take<Op>(rows * l.posterior);
    doutputs = arena.take<Op>(rows * l.outputs);
    if (!l.gaussian) return;
    sigmoid = arena.take<Vec<R>>(l.pixels);
    outputs = arena.take<Vec<R>>(l.outputs);
    slopes = arena.take<Vec<R>>(l.outputs);
    seen = arena.take<Vec<R>>(l.features);
    reading.reserve(arena, l.reading);
    writing.reserve(arena, l.writing);
  }
};

template <class Op> struct Backward {
  using R = Real<Op>;
  Layout<Op> l;
  const Call &call;
  int64_t threads, chunk;      // steps in a chunk
  BackwardWeights<Layout<Op>> weights;
  Saved<Op> saved;
  R *bias[PRODUCTS];
  R *zeros;
  Vec<R> *x_lanes;             // [blocks, pixels]
  R *dcanvas, *dx;             // laid out as Forward's canvas
  R *drow;                     // gradient of the activations, [batch, width]
  R *dcell[2];                 // [batch, hidden]
  Vec<R> *dread;               // controls of the read window of the step after, [blocks, 5]
  R *dgates_sum;               // without attention: the encoder's over all steps, [batch, gates]
  Op *dgates_total;            // and as operand
  Op *transposed;              // activations of a chunk, [width, (chunk + 1) * batch]
  Op *x_transposed;            // [seen, batch]
  WeightGradients<Layout<Op>> slopes;  // its panels hold a chunk of steps
  std::vector<BackwardSpace<Op>> space;

  Backward(const Call &call, int64_t threads)
      : l(call.shape), call(call), threads(threads),
        chunk(std::clamp<int64_t>(CHUNK / l.batch, 1, l.n.glimpses)), space(threads) {}

  int64_t reserve(void *scratch) {
    Arena arena{static_cast<char *>(scratch)}, kept{static_cast<char *>(call.saved)};
    saved.reserve(kept, l, true);
    weights.reserve(arena, l);
    const int64_t b = l.batch;
    zeros = arena.take<R>(std::max(l.pixels, l.n.latent));
    dcanvas = arena.take<R>(b * l.pixels);
    dx = call.dimages ? arena.take<R>(b * l.pixels) : nullptr;
    drow = arena.take<R>(b * l.width);
    for (R *&c : dcell) c = arena.take<R>(b * l.hidden);
    transposed = arena.take<Op>((chunk + 1) * b * l.width);
    if (l.gaussian) {
      x_lanes = arena.take<Vec<R>>(l.blocks * l.pixels);
      dread = arena.take<Vec<R>>(l.blocks * CONTROLS);
    } else {
      dgates_sum = arena.take<R>(b * l.gates);
      dgates_total = arena.take<Op>(b * l.gates);
      x_transposed = arena.take<Op>(l.seen * b);
    }
    for (const Which which : l.EACH) bias[which] = arena.take<R>(l.columns(which));
    slopes.reserve(arena, l, [&](Which which) {
      return b * (which == X ? 1 : which == OUT ? chunk + 1 : chunk);
    });
    const int64_t rows = slice_blocks(l.blocks, threads) * LANES;
    for (auto &own : space) own.reserve(arena, l, rows);
    return arena.used;
  }

  R *const *parameters() const { return reinterpret_cast<R *const *>(call.parameters); }
  R *const *gradients() const { return reinterpret_cast<R *const *>(call.gradients); }
  const R *noise(int64_t t, int64_t image) const {
    return image < l.n.batch
               ? static_cast<R *>(call.noise) + (t * l.n.batch + image) * l.n.latent
               : zeros;
  }

  void run() {
    std::fill(zeros, zeros + std::max(l.pixels, l.n.latent), R(0));
    for (const Which which : l.EACH) gather_biases(l, which, parameters(), bias[which]);
    const int64_t step = slice_blocks(l.blocks, threads);
#pragma omp parallel num_threads(threads)
    {
      const FlushTiny flush;
      weights.pack(l, parameters());
      BackwardSpace<Op> &own = space[omp_get_thread_num()];
#pragma omp for schedule(static)
      for (int64_t first = 0; first < l.blocks; first += step)
        start({first, std::min(step, l.blocks - first)});
      for (int64_t end = l.n.glimpses; end > 0; end -= std::min(chunk, end)) {
        const int64_t begin = std::max<int64_t>(0, end - chunk);
#pragma omp for schedule(static)
        for (int64_t first = 0; first < l.blocks; first += step)
          run_slice(begin, end, {first, std::min(step, l.blocks - first)}, own);
        weight_gradients(begin, end);
      }
      if (!l.gaussian) gradients_through_x(step);
      give_out();
      if (products.release) products.release(true);
    }
    sum_over_images();
  }

 private:
  int64_t image_of(Slice slice) const { return slice.first * LANES; }
  int64_t rows_of(Slice slice) const { return slice.count * LANES; }
  R *drow_of(int64_t image) const { return drow + image * l.width; }

  void start(Slice slice) {
    const int64_t b = image_of(slice), rows = rows_of(slice);
    const auto clear = [&](R *all, int64_t width) {
      if (all) std::fill(all + b * width, all + (b + rows) * width, R(0));
    };
    clear(drow, l.width);
    clear(dcell[0], l.hidden);
    clear(dcell[1], l.hidden);
    clear(dx, l.pixels);
    if (!l.gaussian) clear(dgates_sum, l.gates);
    R *from = static_cast<R *>(call.dcanvas);
    for (int64_t block = slice.first; block < slice.first + slice.count; block++) {
      R *to = dcanvas + block * l.pixels * LANES;
      if (l.gaussian) {
        to_lanes(image_rows(from, l.pixels, block * LANES, l.n.batch), l.pixels,
                 reinterpret_cast<Vec<R> *>(to));
        to_lanes(image_rows(static_cast<R *>(call.images), l.pixels, block * LANES, l.n.batch),
                 l.pixels, x_lanes + block * l.pixels);
        std::fill(dread + block * CONTROLS, dread + (block + 1) * CONTROLS, Vec<R>{});
      } else {
        for (int64_t i = 0; i < LANES; i++, to += l.pixels)
          if (const int64_t image = block * LANES + i; image < l.n.batch)
            std::copy(from + image * l.pixels, from + (image + 1) * l.pixels, to);
          else
            std::fill(to, to + l.pixels, R(0));
      }
    }
  }

  // Steps [begin, end) from the last to the first; slot of step t in the chunk's arrays: t - begin.
  void run_slice(int64_t begin, int64_t end, Slice slice, BackwardSpace<Op> &own) {
    const int64_t b = image_of(slice), rows = rows_of(slice);
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
    if (begin == 0) unstart(slice, own);
  }

  // Gradient of (8): the patch, its window, and the next read window, all made from h_dec_t.
  void undraw(int64_t t, Slice slice, BackwardSpace<Op> &own, int64_t k) {
    for (int64_t block = slice.first; block < slice.first + slice.count; block++) {
      const int64_t b = block * LANES;
      R *slope = dcanvas + block * l.pixels * LANES;
      Op *to = own.doutputs + (b - image_of(slice)) * l.outputs;
      if (l.gaussian) {
        outputs_to_lanes(t + 1, b, l.outputs, own.outputs);
        std::fill(own.slopes, own.slopes + l.outputs, Vec<R>{});
        std::copy(dread + block * CONTROLS, dread + (block + 1) * CONTROLS, own.slopes);
        write_backward(own.outputs + CONTROLS, l.writing, own.outputs + 2 * CONTROLS,
                       reinterpret_cast<Vec<R> *>(slope), own.slopes + 2 * CONTROLS,
                       own.slopes + CONTROLS, own.writing);
        slopes.from_lanes(OUT, own.slopes, to, k + b - image_of(slice));
      } else {
        for (int64_t i = 0; i < LANES; i += 2)
          for (int64_t p = 0; p < l.outputs; p += LANES) {
            const Vec<R> a = load_part(slope + i * l.pixels + p, std::max<int64_t>(0, l.pixels - p)),
                         c = load_part(slope + (i + 1) * l.pixels + p,
                                       std::max<int64_t>(0, l.pixels - p));
            store(to + i * l.outputs + p, a);
            store(to + (i + 1) * l.outputs + p, c);
            slopes.store_in_panel(OUT, k + b - image_of(slice) + i, p, a, c);
          }
      }
    }
    product(rows_of(slice), own.doutputs, l.outputs, weights.of[OUT],
            drow_of(image_of(slice)) + l.h_dec_at, l.width, true);
  }

  // The read window of the first step is made from h_dec_0.
  void unstart(Slice slice, BackwardSpace<Op> &own) {
    if (!l.gaussian) return;
    for (int64_t block = slice.first; block < slice.first + slice.count; block++) {
      const int64_t b = block * LANES;
      std::fill(own.slopes, own.slopes + l.outputs, Vec<R>{});
      std::copy(dread + block * CONTROLS, dread + (block + 1) * CONTROLS, own.slopes);
      slopes.from_lanes(OUT, own.slopes, own.doutputs + (b - image_of(slice)) * l.outputs, b);
    }
    product(rows_of(slice), own.doutputs, l.outputs, weights.of[OUT],
            drow_of(image_of(slice)) + l.h_dec_at, l.width, true);
  }

  // Gradient of (5) and (7), from h at t + 1 to the gates.
  void cell_step(Which which, int64_t t, Slice slice, BackwardSpace<Op> &own, int64_t k) {
    const int64_t b = image_of(slice), decoder = which == DEC;
    const Op *gates = saved.gates[decoder] + (t * l.batch + b) * l.gates;
    const Op *before = saved.cells[decoder] + (t * l.batch + b) * l.hidden;
    const bool total = !decoder && !l.gaussian;
    for (int64_t j = 0; j < l.hidden / LANES; j++)
      lstm_block_backward(rows_of(slice), gates + j * BLOCK, l.gates,
                          before + l.batch * l.hidden + j * LANES, before + j * LANES, l.hidden,
                          drow_of(b) + (decoder ? l.h_dec_at : 0) + j * LANES, l.width,
                          dcell[decoder] + b * l.hidden + j * LANES, own.dgates + j * BLOCK,
                          l.gates, slopes.panels[which].block(j), k,
                          total ? dgates_sum + b * l.gates + j * BLOCK : nullptr);
  }

  // Gradient of (1-2), (6) and of the losses on the codes.
  void unsample(int64_t t, Slice slice, BackwardSpace<Op> &own, int64_t k) {
    const int64_t b0 = image_of(slice), Z = l.n.latent;
    for (int64_t b = b0; b < b0 + rows_of(slice); b++) {
      const bool real = b < l.n.batch;
      const R *post = saved.post(l, t, b), *dz = drow_of(b) + l.z_at, *epsilon = noise(t, b);
      const R dkl = real ? static_cast<R *>(call.dkl)[b * l.n.glimpses + t] : R(0);
      const R dratio = real ? static_cast<R *>(call.dlog_ratio)[b] : R(0);
      R *dnoise = real && call.dnoise
                      ? static_cast<R *>(call.dnoise) + (t * l.n.batch + b) * Z : nullptr;
      Op *to = own.dposterior + (b - b0) * l.posterior;
      store_part(to + l.posterior - LANES, Vec<R>{}, LANES);
      for (int64_t j = 0; j < Z; j += LANES) {
        const int64_t left = Z - j;
        const Vec<R> mu = load_part(post + j, left) + load_part(bias[POST] + j, left);
        const Vec<R> log_sigma =
            load_part(post + Z + j, left) + load_part(bias[POST] + Z + j, left);
        const Vec<R> sigma = exp(log_sigma), eps = load_part(epsilon + j, left);
        const Vec<R> slope = load_part(dz + j, left) - dratio * (mu + sigma * eps);
        store_part(to + j, Vec<R>(slope + dkl * mu), left);
        store_part(to + Z + j, Vec<R>(slope * sigma * eps + dkl * (sigma * sigma - 1) + dratio),
                   left);
        if (dnoise) store_part(dnoise + j, Vec<R>(slope * sigma + dratio * eps), left);
      }
    }
    for (int64_t i = 0; i < rows_of(slice); i += 2)
      for (int64_t j = 0; j < l.posterior; j += LANES) {
        const Op *from = own.dposterior + i * l.posterior + j;
        slopes.store_in_panel(POST, k + i, j, load(from), load(from + l.posterior));
      }
    product(rows_of(slice), own.dposterior, l.posterior, weights.of[POST], drow_of(b0), l.width,
            true);
  }

  // Gradient of (3-4): the canvas before this step, and the controls of its read window.
  void unlook(int64_t t, Slice slice, BackwardSpace<Op> &own) {
    for (int64_t block = slice.first; block < slice.first + slice.count; block++) {
      const int64_t b = block * LANES, first = block * l.pixels * LANES;
      const auto *kept = saved.sigmoid + t * l.batch * l.pixels + first;
      if (!l.gaussian) {
        for (int64_t i = 0; i < LANES; i++)
          for (int64_t p = 0; p < l.pixels; p += LANES) {
            const int64_t at = i * l.pixels + p, left = l.pixels - p;
            const Vec<R> s = load_part(kept + at, left);
            const Vec<R> slope = load_part(drow_of(b + i) + l.r_at + p, left);
            R *to = dcanvas + first + at;
            store_part(to, Vec<R>(load_part(to, left) - s * (1 - s) * slope), left);
            if (dx) store_part(dx + first + at, Vec<R>(load_part(dx + first + at, left) + slope), left);
          }
        continue;
      }
      for (int64_t p = 0; p < l.pixels; p++) own.sigmoid[p] = load(kept + p * LANES);
      outputs_to_lanes(t, b, LANES, own.outputs);
      to_lanes(image_rows(drow + l.r_at, l.width, b, l.batch), l.features, own.seen);
      read_backward(own.outputs, l.reading, x_lanes + block * l.pixels, own.sigmoid, own.seen,
                    dread + block * CONTROLS, reinterpret_cast<Vec<R> *>(dcanvas + first),
                    dx ? reinterpret_cast<Vec<R> *>(dx + first) : nullptr, own.reading);
    }
  }

  void outputs_to_lanes(int64_t t, int64_t b, int64_t count, Vec<R> *lanes) {
    to_lanes(image_rows(saved.out(l, t, b), l.outputs, 0, LANES), count, lanes);
    for (int64_t j = 0; j < count; j++) lanes[j] += bias[OUT][j];
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
      last[which] = tasks += which == X ? 0 : slopes.panels[which].blocks();
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < tasks; task++) {
      Which which = ENC;
      while (task >= last[which]) which = Which(which + 1);
      const int64_t j = slopes.panels[which].blocks() - (last[which] - task);
      // POST and OUT come after the cells: their operands are h of the next slot. h_dec_0 makes the
      // read window of the first step.
      const bool start = which == OUT && begin == 0 && l.gaussian;
      const int64_t slot = start ? 0 : which == POST || which == OUT;
      const int64_t count = start ? steps + 1 : steps;
      const int64_t k = which == OUT ? slot * l.batch : 0;
      slopes.accumulate(which, j, transposed + l.operand_at(which) * rows + slot * l.batch, rows, k,
                 count * l.batch, end < l.n.glimpses);
    }
  }

  // Without attention: what the image itself adds to the gates, once for all steps.
  void gradients_through_x(int64_t step) {
#pragma omp for schedule(static)
    for (int64_t block = 0; block < l.blocks; block++) {
      const int64_t b = block * LANES;
      for (int64_t i = 0; i < LANES; i += 2)
        for (int64_t j = 0; j < l.gates; j += LANES) {
          const int64_t at = (b + i) * l.gates + j;
          const Vec<R> first = load(dgates_sum + at), second = load(dgates_sum + at + l.gates);
          store(dgates_total + at, first);
          store(dgates_total + at + l.gates, second);
          slopes.store_in_panel(X, b + i, j, first, second);
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
#pragma omp for schedule(static)
    for (int64_t first = 0; first < l.blocks; first += step) {
      const int64_t b = first * LANES, rows = std::min(step, l.blocks - first) * LANES;
      add_to_dx(b, rows);
    }
  }
  void add_to_dx(int64_t b, int64_t rows) {
    for (int64_t image = b; image < b + rows; image++)
      std::fill(drow_of(image) + l.r_at, drow_of(image) + l.r_at + l.seen, R(0));
    product(rows, dgates_total + b * l.gates, l.gates, weights.of[X], drow_of(b) + l.r_at, l.width,
            true);
    for (int64_t image = b; image < b + rows; image++)
      for (int64_t p = 0; p < l.pixels; p++)
        dx[image * l.pixels + p] += drow_of(image)[l.r_at + p];
  }

  // To be called by all threads.
  void give_out() {
    slopes.give_out(l, gradients());
    if (!dx) return;
#pragma omp for schedule(static)
    for (int64_t block = 0; block < l.blocks; block++) {
      const int64_t b = block * LANES, images = std::min<int64_t>(LANES, l.n.batch - b);
      const R *from = dx + b * l.pixels;
      R *to = static_cast<R *>(call.dimages);
      if (l.gaussian)
        from_lanes(reinterpret_cast<const Vec<R> *>(from), l.pixels,
                   image_rows(to, l.pixels, b, l.n.batch));
      else
        std::copy(from, from + images * l.pixels, to + b * l.pixels);
    }
  }

  // The learned start of every drawing gets the sum over the images.
  void sum_over_images() {
    R *const *d = gradients();
    std::fill(d[CANVAS_0], d[CANVAS_0] + l.pixels, R(0));
    for (int64_t block = 0; block < l.blocks; block++)
      for (int64_t p = 0; p < l.pixels; p++)
        for (int64_t i = 0; i < LANES; i++)
          d[CANVAS_0][p] += dcanvas[block * l.pixels * LANES + (l.gaussian ? p * LANES + i
                                                                          : i * l.pixels + p)];
    const auto reduce = [&](Parameter which, const R *from, int64_t stride) {
      std::fill(d[which], d[which] + l.n.hidden, R(0));
      for (int64_t image = 0; image < l.n.batch; image++)
        for (int64_t u = 0; u < l.n.hidden; u++) d[which][u] += from[image * stride + u];
    };
    reduce(H_ENC_0, drow, l.width);
    reduce(H_DEC_0, drow + l.h_dec_at, l.width);
    reduce(C_ENC_0, dcell[0], l.hidden);
    reduce(C_DEC_0, dcell[1], l.hidden);
  }
};

}  // namespace draw
