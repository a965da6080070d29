// What every pass over a sequence has, forward or backward, of DRAW or of the classifier.
#pragma once

#include "codes.h"
#include "weights.h"

namespace draw {

// Space: what one thread needs for one step of its images.
template <class L, template <class> class Weights, class Space> struct Pass {
  using Op = typename L::Operand;
  using R = Real<Op>;
  L l;
  const typename L::Call &call;
  int64_t threads;
  typename L::Saved saved;
  Weights<L> weights;
  R *bias[PRODUCTS];  // by column of the product
  Vec<R> *x_lanes;    // for windows: the images, [blocks, pixels]
  std::vector<Space> space;

  Pass(const typename L::Call &call, int64_t threads)
      : l(call.shape), call(call), threads(threads), space(threads) {}

  void reserve(Arena &arena) {
    Arena kept{static_cast<char *>(call.saved)};
    saved.reserve(call.saved ? kept : arena, l, call.saved);
    weights.reserve(arena, l);
    for (const Which which : l.EACH)
      if (l.has(which)) bias[which] = arena.take<R>(l.columns(which));
    if (l.windows) x_lanes = arena.take<Vec<R>>(l.blocks * l.pixels);
    for (Space &own : space) own.reserve(arena, l, slice_blocks(l.blocks, threads) * LANES);
  }

  R *const *parameters() const { return reinterpret_cast<R *const *>(call.parameters); }
  R *const *gradients() const { return reinterpret_cast<R *const *>(call.gradients); }

  // Calls f(space) in every thread, once the weights are packed.
  template <class F> void in_threads(F f) {
    for (const Which which : l.EACH)
      if (l.has(which)) gather_biases(which);
#pragma omp parallel num_threads(threads)
    {
      const FlushTiny flush;
      weights.pack(l, parameters());
      f(space[omp_get_thread_num()]);
      if (products.release) products.release(true);
    }
  }

  // Calls f(slice) for all images. To be called by all threads.
  template <class F> void each_slice(F f) const {
    const int64_t step = slice_blocks(l.blocks, threads);
#pragma omp for schedule(static)
    for (int64_t first = 0; first < l.blocks; first += step)
      f(Slice{first, std::min(step, l.blocks - first)});
  }

  // From images as the caller has them, [batch, pixels], to one image per lane, [blocks, pixels].
  void images_to_lanes(void *images, Slice slice, Vec<R> *lanes) const {
    for (int64_t block = slice.first; block < slice.end(); block++)
      to_lanes(image_rows(static_cast<R *>(images), l.pixels, block * LANES, l.n.batch), l.pixels,
               lanes + block * l.pixels);
  }
  void images_from_lanes(const Vec<R> *lanes, Slice slice, void *images) const {
    for (int64_t block = slice.first; block < slice.end(); block++)
      from_lanes(lanes + block * l.pixels, l.pixels,
                 image_rows(static_cast<R *>(images), l.pixels, block * LANES, l.n.batch));
  }

  // Columns [0, count) of OUT at t, with bias, one image per lane.
  void outputs_to_lanes(int64_t t, int64_t b, int64_t count, Vec<R> *lanes) const {
    to_lanes(image_rows(saved.out(l, t, b), l.outputs, 0, LANES), count, lanes);
    for (int64_t j = 0; j < count; j++) lanes[j] += bias[OUT][j];
  }

 private:
  void gather_biases(Which which) {
    R *sums = bias[which];
    std::fill(sums, sums + l.columns(which), R(0));
    l.biases(which, parameters(), [=](int64_t column, R *first, R *second) {
      sums[column] = *first + (second ? *second : R(0));
    });
  }
};

// A pass of DRAW: it has noise, what the drawings are told, and units that may be left out.
template <class Op, template <class> class Weights, class Space>
struct DrawingPass : Pass<Layout<Op>, Weights, Space> {
  using Base = Pass<Layout<Op>, Weights, Space>;
  using Base::Base, Base::l, Base::call, Base::bias;
  using R = Real<Op>;
  R *zeros;      // stands in for images beyond the batch
  R *unit_mask;  // factors of h_dec, or null: [batch, hidden]

  void reserve(Arena &arena) {
    Base::reserve(arena);
    const int64_t count = std::max(l.pixels, l.n.latent);
    zeros = arena.take<R>(count);
    if (zeros) std::fill(zeros, zeros + count, R(0));
    unit_mask = call.unit_mask ? arena.take<R>(l.batch * l.hidden) : nullptr;
  }
  void fill_unit_mask(Slice slice) {
    const R *from = static_cast<R *>(call.unit_mask);
    for (int64_t b = slice.image(); from && b < slice.image() + slice.rows(); b++)
      for (int64_t u = 0; u < l.hidden; u += LANES)
        store(unit_mask + b * l.hidden + u,
              b < l.n.batch ? load_part(from + b * l.n.hidden + u, l.n.hidden - u) : Vec<R>{});
  }
  // Of h_dec alone, of images from b on and units from u on.
  const R *unit_mask_of(int64_t decoder, int64_t b, int64_t u) const {
    return decoder && unit_mask ? unit_mask + b * l.hidden + u : nullptr;
  }
  const R *noise(int64_t t, int64_t image) const {
    return image < l.n.batch
               ? static_cast<R *>(call.noise) + (t * l.n.batch + image) * l.n.latent
               : zeros;
  }

  // The controls of the read windows of step t, one image per lane, and what follows them in OUT.
  void read_controls_to_lanes(int64_t t, int64_t b, Vec<R> *lanes) const {
    this->outputs_to_lanes(t, b, round_up(l.write_at, LANES), lanes);
  }

  // Variables [j, j + 16) of a row of POST or PRIOR, with bias.
  Normal<R> normal(Which which, const R *row, int64_t j) const {
    const R *of_mu = bias[which], *of_log_sigma = of_mu + l.n.latent;
    const int64_t left = l.n.latent - j;
    return {load_part(row + j, left) + load_part(of_mu + j, left),
            load_part(row + l.n.latent + j, left) + load_part(of_log_sigma + j, left)};
  }

  // Calls f(column, at, count) for every 16 columns of ENC and DEC: they are numbers
  // [at, at + count) of the four gates as torch lays them out.
  template <class F> void each_gate(F f) const {
    const GateColumn gate{l.n.hidden};
    for (int64_t column = 0; column < l.gates; column += LANES) {
      const int64_t at = gate(column);
      f(column, at, std::min<int64_t>(LANES, l.n.hidden - at % l.n.hidden));
    }
  }

  // A canvas is [blocks, pixels, 16 lanes], or [batch, pixels] without attention. Here it goes to
  // where the caller wants it, [batch, pixels] without what was added to fill the last block.
  void export_canvas(const R *canvas, Slice slice, void *to) const {
    if (l.windows) {
      this->images_from_lanes(reinterpret_cast<const Vec<R> *>(canvas), slice, to);
    } else {
      const int64_t last = std::min(slice.image() + slice.rows(), l.n.batch);
      std::copy(canvas + slice.image() * l.pixels, canvas + last * l.pixels,
                static_cast<R *>(to) + slice.image() * l.pixels);
    }
  }
};

}  // namespace draw
