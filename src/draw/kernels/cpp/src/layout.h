// What a call is given, how its arrays lie in memory, and which weights make which product.
//
// A step has up to five products, each with its weights packed into one matrix:
//   ENC  [h_enc_{t-1} | r | h_dec_{t-1}] -> gates of the encoder
//   POST h_enc_t -> [mu | log_sigma]
//   DEC  [h_dec_{t-1} | z] -> gates of the decoder
//   OUT  h_dec_t -> [controls of the next read windows | of the write windows | patches to write]
//   PRIOR, if it is learned: h_dec_{t-1} -> [mu_p | log_sigma_p]
// One row of activations is [h_enc | r | h_dec | z]: the operands of ENC and DEC are parts of it.
// Without attention r is the error image, the image itself comes in by another product, X, once per
// sequence, and OUT is the whole image.
#pragma once

#include "gemm.h"
#include "lstm.h"
#include "window.h"

namespace draw {

// The lists that Python has too (draw/kernels/cpp/form.py): the library hands out their names, and
// Python compares them when it is loaded.
#define DRAW_NUMBER(name) int64_t name;
#define DRAW_POINTER(name) void *name;
#define DRAW_NAME(name) #name " "
#define DRAW_SYMBOL(symbol, name) symbol,
#define DRAW_NAME_OF(symbol, name) name " "

// ..._heads: windows a step; filters: theirs, a number of `Filters`; learned: prior, 1 learned,
// 0 standard.
#define DRAW_SHAPE(EACH) \
  EACH(glimpses) EACH(batch) EACH(channels) EACH(rows) EACH(columns) EACH(hidden) EACH(latent) \
  EACH(read_size) EACH(write_size) EACH(read_heads) EACH(write_heads) EACH(filters) \
  EACH(learned)

#define DRAW_PARAMETERS(EACH) \
  EACH(CANVAS_0, "canvas_0") \
  EACH(H_ENC_0, "h_enc_0") EACH(C_ENC_0, "c_enc_0") \
  EACH(H_DEC_0, "h_dec_0") EACH(C_DEC_0, "c_dec_0") \
  EACH(ENC_W_IH, "lstm_enc.weight_ih") EACH(ENC_W_HH, "lstm_enc.weight_hh") \
  EACH(ENC_B_IH, "lstm_enc.bias_ih") EACH(ENC_B_HH, "lstm_enc.bias_hh") \
  EACH(DEC_W_IH, "lstm_dec.weight_ih") EACH(DEC_W_HH, "lstm_dec.weight_hh") \
  EACH(DEC_B_IH, "lstm_dec.bias_ih") EACH(DEC_B_HH, "lstm_dec.bias_hh") \
  EACH(MU_W, "mu.weight") EACH(MU_B, "mu.bias") \
  EACH(LOG_SIGMA_W, "log_sigma.weight") EACH(LOG_SIGMA_B, "log_sigma.bias") \
  EACH(CONTENT_W, "attention.write_content.weight") \
  EACH(CONTENT_B, "attention.write_content.bias") \
  EACH(READ_W, "attention.read_window.weight") EACH(READ_B, "attention.read_window.bias") \
  EACH(WRITE_W, "attention.write_window.weight") EACH(WRITE_B, "attention.write_window.bias") \
  EACH(PRIOR_MU_W, "prior.mu.weight") EACH(PRIOR_MU_B, "prior.mu.bias") \
  EACH(PRIOR_LOG_SIGMA_W, "prior.log_sigma.weight") \
  EACH(PRIOR_LOG_SIGMA_B, "prior.log_sigma.bias")

// images        [batch, channels, rows, columns]; null: generate, z from the prior
// noise         [glimpses, batch, latent]
// context_...   addends to the gates of encoder and decoder, [batch, 4 * hidden]
// unit_mask     factors of h_dec, the same at all steps, [batch, hidden]
// canvas        [batch, channels, rows, columns]
// canvases      [glimpses, batch, channels, rows, columns]
// ..._controls  [glimpses, batch, 5 * heads]; 6 * heads of windows that turn
// kl            [batch, glimpses]
// log_ratio     [batch]: log p(z) / q(z | x)
// dcanvas, dkl, dlog_ratio: gradients that come in; all other d... go out; same shapes
#define DRAW_TENSORS(EACH) \
  EACH(images) EACH(noise) EACH(context_enc) EACH(context_dec) EACH(unit_mask) EACH(canvas) \
  EACH(canvases) EACH(read_controls) EACH(write_controls) EACH(kl) EACH(log_ratio) EACH(saved) \
  EACH(scratch) EACH(dcanvas) EACH(dkl) EACH(dlog_ratio) EACH(dimages) EACH(dnoise) \
  EACH(dcontext_enc) EACH(dcontext_dec)

struct Shape {
  DRAW_SHAPE(DRAW_NUMBER)
};

enum Parameter { DRAW_PARAMETERS(DRAW_SYMBOL) PARAMETERS };

// Everything a call is given. Null: not wanted, or not there.
struct Call {
  Shape shape;
  void *parameters[PARAMETERS];
  void *gradients[PARAMETERS];  // those that go out; same shapes as the parameters
  DRAW_TENSORS(DRAW_POINTER)
  void *context(int decoder) const { return decoder ? context_dec : context_enc; }
  void *dcontext(int decoder) const { return decoder ? dcontext_dec : dcontext_enc; }
};

// Hands out parts of one block of memory; without a block it only counts.
struct Arena {
  char *base;
  int64_t used = 0;
  template <class T> T *take(int64_t count) {
    skip(round_up(used, 64) - used);
    T *at = base ? reinterpret_cast<T *>(base + used) : nullptr;
    used += count * sizeof(T);
    skip(128);  // a vector may be read past the end
    return at;
  }

 private:
  void skip(int64_t bytes) {
    if (base) std::memset(base + used, 0, bytes);
    used += bytes;
  }
};

template <class Op> struct SigmoidOf {
  using type = Op;
};
template <> struct SigmoidOf<Bf16> {
  using type = Unit16;
};

enum Which { ENC, POST, DEC, OUT, PRIOR, X, PRODUCTS };
template <class Op> struct Saved;

template <class Op> struct Layout {
  using Operand = Op;
  using Call = draw::Call;
  using Saved = draw::Saved<Op>;
  using R = Real<Op>;
  using S = typename SigmoidOf<Op>::type;

  Shape n;
  bool windows, learned;
  Grid reading, writing;
  int64_t pixels, batch, blocks;        // batch: rounded up to whole blocks of 16 images
  int64_t hidden, latent, seen;         // padded: of h, of z, of r
  int64_t inputs, features;             // of the encoder's weights, and how many of them are r
  int64_t r_at, h_dec_at, z_at, width;  // of a row of activations
  int64_t gates, codes, outputs;        // columns of ENC and DEC, of POST and PRIOR, of OUT
  int64_t write_at, content_at, content;  // of OUT: first controls to write, first to be written

  explicit Layout(const Shape &shape)
      : n(shape), windows(Filters(shape.filters) != Filters::none), learned(shape.learned) {
    const Filters filters = Filters(n.filters);
    reading = {n.channels, n.rows, n.columns, n.read_size, n.read_heads, filters};
    writing = {n.channels, n.rows, n.columns, n.write_size, n.write_heads, filters};
    pixels = n.channels * n.rows * n.columns;
    batch = round_up(n.batch, LANES);
    blocks = batch / LANES;
    hidden = round_up(n.hidden, LANES);
    latent = round_up(n.latent, 2);
    inputs = 2 * (windows ? reading.patches() : pixels);
    features = windows ? inputs : pixels;
    seen = round_up(features, 2);
    r_at = hidden;
    h_dec_at = r_at + seen;
    z_at = h_dec_at + hidden;
    width = z_at + latent;
    gates = 4 * hidden;
    codes = round_up(2 * n.latent, LANES);
    write_at = windows ? reading.controls() : 0;
    content_at = write_at + (windows ? writing.controls() : 0);
    content = windows ? writing.patches() : pixels;
    outputs = round_up(content_at + content, LANES);
  }

  // Which columns of the activations a product reads, and how many it makes.
  int64_t operand_at(Which which) const {
    return which == DEC || which == OUT || which == PRIOR ? h_dec_at : 0;
  }
  int64_t depth(Which which) const {
    return which == ENC ? z_at : which == DEC ? hidden + latent : which == X ? seen : hidden;
  }
  int64_t columns(Which which) const {
    return which == POST || which == PRIOR ? codes : which == OUT ? outputs : gates;
  }

  // Calls f(first, length, row) for each weight in a product: `row(n)` is where column n of the
  // product has its `length` numbers for rows [first, first + length) of the operand, or null.
  template <class F> void weights(Which which, R *const *w, F f) const {
    const GateColumn gate{n.hidden};
    const auto rows = [](R *base, int64_t stride, auto index) {
      return [=](int64_t column) -> R * {
        const int64_t row = index(column);
        return row < 0 ? nullptr : base + row * stride;
      };
    };
    const int64_t H = n.hidden, Z = n.latent, stride = inputs + H;
    if (which == ENC) {
      f(0, H, rows(w[ENC_W_HH], H, gate));
      f(r_at, features, rows(w[ENC_W_IH] + (windows ? 0 : pixels), stride, gate));
      f(h_dec_at, H, rows(w[ENC_W_IH] + inputs, stride, gate));
    } else if (which == DEC) {
      f(0, H, rows(w[DEC_W_HH], H, gate));
      f(hidden, Z, rows(w[DEC_W_IH], Z, gate));
    } else if (which == X) {
      f(0, pixels, rows(w[ENC_W_IH], stride, gate));
    } else if (which == POST || which == PRIOR) {
      R *mu = w[which == POST ? MU_W : PRIOR_MU_W];
      R *log_sigma = w[which == POST ? LOG_SIGMA_W : PRIOR_LOG_SIGMA_W];
      f(0, H, [=](int64_t column) -> R * {
        return column < Z ? mu + column * H
               : column < 2 * Z ? log_sigma + (column - Z) * H : nullptr;
      });
    } else {
      f(0, H, [this, w, H](int64_t column) -> R * {
        if (column < write_at) return w[READ_W] + column * H;
        if (column < content_at) return w[WRITE_W] + (column - write_at) * H;
        column -= content_at;
        return column < content ? w[CONTENT_W] + column * H : nullptr;
      });
    }
  }

  // Calls f(column, first, second) with where a product's column has its bias; second may be null.
  template <class F> void biases(Which which, R *const *w, F f) const {
    const int64_t Z = n.latent;
    if (which == ENC || which == DEC) {
      const GateColumn gate{n.hidden};
      R *ih = w[which == ENC ? ENC_B_IH : DEC_B_IH], *hh = w[which == ENC ? ENC_B_HH : DEC_B_HH];
      for (int64_t column = 0; column < gates; column++)
        if (const int64_t row = gate(column); row >= 0) f(column, ih + row, hh + row);
    } else if (which == POST || which == PRIOR) {
      R *mu = w[which == POST ? MU_B : PRIOR_MU_B];
      R *log_sigma = w[which == POST ? LOG_SIGMA_B : PRIOR_LOG_SIGMA_B];
      for (int64_t j = 0; j < Z; j++) {
        f(j, mu + j, nullptr);
        f(Z + j, log_sigma + j, nullptr);
      }
    } else if (which == OUT) {
      for (int64_t j = 0; j < write_at; j++) f(j, w[READ_B] + j, nullptr);
      for (int64_t j = write_at; j < content_at; j++) f(j, w[WRITE_B] + j - write_at, nullptr);
      for (int64_t j = 0; j < content; j++) f(content_at + j, w[CONTENT_B] + j, nullptr);
    }
  }

  bool has(Which which) const {
    return which == X ? !windows : which == PRIOR ? learned : true;
  }
  static constexpr Which EACH[] = {ENC, POST, DEC, OUT, PRIOR, X};
};

// What forward keeps for backward, by step. Without saving there is room for two steps only.
template <class Op> struct Saved {
  using R = Real<Op>;
  Op *activations;         // [steps + 1, batch, width]
  Op *gates[2], *cells[2];  // encoder, decoder: [steps, batch, gates], [steps + 1, batch, hidden]
  R *posterior, *prior;    // [steps, batch, codes], without bias
  R *outputs;              // [steps + 1, batch, outputs], without bias
  typename Layout<Op>::S *sigmoid;  // [steps, batch * pixels]: of the canvas before each step
  bool whole;

  void reserve(Arena &arena, const Layout<Op> &l, bool keep) {
    whole = keep;
    const int64_t steps = keep ? l.n.glimpses : 1, b = l.batch;
    activations = arena.take<Op>((steps + 1) * b * l.width);
    for (int which : {0, 1}) {
      gates[which] = keep ? arena.take<Op>(steps * b * l.gates) : nullptr;
      cells[which] = keep ? arena.take<Op>((steps + 1) * b * l.hidden) : nullptr;
    }
    posterior = arena.take<R>(steps * b * l.codes);
    prior = l.learned ? arena.take<R>(steps * b * l.codes) : nullptr;
    outputs = arena.take<R>((l.windows && keep ? steps + 1 : 2) * b * l.outputs);
    sigmoid = keep ? arena.take<typename Layout<Op>::S>(steps * b * l.pixels) : nullptr;
  }
  int64_t slot(int64_t t, int64_t slots = 2) const { return whole ? t : t % slots; }
  Op *row(const Layout<Op> &l, int64_t t, int64_t image) const {
    return activations + (slot(t) * l.batch + image) * l.width;
  }
  R *post(const Layout<Op> &l, int64_t t, int64_t image) const {
    return posterior + (slot(t, 1) * l.batch + image) * l.codes;
  }
  R *expected(const Layout<Op> &l, int64_t t, int64_t image) const {
    return prior + (slot(t, 1) * l.batch + image) * l.codes;
  }
  R *out(const Layout<Op> &l, int64_t t, int64_t image) const {
    return outputs + ((l.windows ? slot(t) : t % 2) * l.batch + image) * l.outputs;
  }
};

// Numbers below the smallest normal one count as zero while this lives; they would slow all down.
struct FlushTiny {
#if defined(__SSE__)
  unsigned before = _mm_getcsr();
  FlushTiny() { _mm_setcsr(before | 0x8040); }
  ~FlushTiny() { _mm_setcsr(before); }
#endif
};

// Image blocks [first, first + count) of one thread's turn: at most four, so that their part of
// every array stays in the cache.
struct Slice {
  int64_t first, count;
  int64_t end() const { return first + count; }
  int64_t image() const { return first * LANES; }
  int64_t rows() const { return count * LANES; }
};
inline int64_t slice_blocks(int64_t blocks, int64_t threads) {
  return std::max<int64_t>(1, std::min<int64_t>(4, (blocks + threads - 1) / threads));
}

// From 16 images, one per row, to one per lane, and back. Null rows are zeros, or left out.
template <class T> struct Rows {
  T *row[LANES];
};
template <class T>
inline Rows<T> image_rows(T *first, int64_t stride, int64_t image, int64_t images) {
  Rows<T> rows;
  for (int i = 0; i < LANES; i++)
    rows.row[i] = image + i < images ? first + (image + i) * stride : nullptr;
  return rows;
}
template <class R> inline void to_lanes(const Rows<R> &rows, int64_t count, Vec<R> *lanes) {
  for (int64_t j = 0; j < count; j += LANES) {
    Tile<R> tile = load_tile<R>(const_cast<const R *const *>(rows.row), j, count);
    transpose(tile.row);
    for (int64_t i = 0; i < std::min<int64_t>(LANES, count - j); i++) lanes[j + i] = tile.row[i];
  }
}
template <class T, class V>
inline void from_lanes(const V *lanes, int64_t count, const Rows<T> &rows) {
  for (int64_t j = 0; j < count; j += LANES) {
    V tile[LANES];
    for (int64_t i = 0; i < LANES; i++) tile[i] = j + i < count ? lanes[j + i] : V{};
    transpose(tile);
    for (int i = 0; i < LANES; i++)
      if (rows.row[i]) store_part(rows.row[i] + j, tile[i], count - j);
  }
}

}  // namespace draw
