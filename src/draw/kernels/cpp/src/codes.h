// The latent variables of a step, 16 at a time: z, its two terms of the loss, and their gradients.
//
// q is the posterior (eqs 1-2), p the learned prior; without p the prior is N(0, 1). kl is that of
// eq 10, log_ratio is log p(z) / q(z | x); variables past the end are zero and add nothing.
#pragma once

#include "vec.h"

namespace draw {

template <class R> struct Normal {
  Vec<R> mu, log_sigma;
};
template <class R> struct Code {
  Vec<R> z, kl, log_ratio;
};
// Gradients of all that a code is made of.
template <class R> struct CodeSlopes {
  Normal<R> q, p;
  Vec<R> noise;
};

template <class R> inline Code<R> sample(const Normal<R> &q, Vec<R> noise) {
  const Vec<R> sigma = exp(q.log_sigma), z = q.mu + sigma * noise;
  return {z, R(0.5) * (q.mu * q.mu + sigma * sigma - 1) - q.log_sigma,
          R(0.5) * (noise * noise - z * z) + q.log_sigma};
}

template <class R> inline Code<R> sample(const Normal<R> &q, const Normal<R> &p, Vec<R> noise) {
  const Vec<R> sigma = exp(q.log_sigma), z = q.mu + sigma * noise;
  const Vec<R> per_sigma = exp(-p.log_sigma), log_width = q.log_sigma - p.log_sigma;
  const Vec<R> width = sigma * per_sigma, off = (q.mu - p.mu) * per_sigma;
  const Vec<R> seen = (z - p.mu) * per_sigma;  // the noise that the prior makes z of
  return {z, R(0.5) * (off * off + width * width - 1) - log_width,
          R(0.5) * (noise * noise - seen * seen) + log_width};
}

// dz: gradient of z from the decoder; dkl and dratio: those of the two losses.
template <class R>
inline CodeSlopes<R> sample_backward(const Normal<R> &q, Vec<R> noise, Vec<R> dz, R dkl, R dratio) {
  const Vec<R> sigma = exp(q.log_sigma);
  const Vec<R> slope = dz - dratio * (q.mu + sigma * noise);
  CodeSlopes<R> d = {};
  d.q.mu = slope + dkl * q.mu;
  d.q.log_sigma = slope * sigma * noise + dkl * (sigma * sigma - 1) + dratio;
  d.noise = slope * sigma + dratio * noise;
  return d;
}

template <class R>
inline CodeSlopes<R> sample_backward(const Normal<R> &q, const Normal<R> &p, Vec<R> noise,
                                     Vec<R> dz, R dkl, R dratio) {
  const Vec<R> sigma = exp(q.log_sigma), per_sigma = exp(-p.log_sigma);
  const Vec<R> width = sigma * per_sigma, off = (q.mu - p.mu) * per_sigma;
  const Vec<R> seen = (q.mu + sigma * noise - p.mu) * per_sigma;
  const Vec<R> from_ratio = dratio * seen * per_sigma, from_kl = dkl * off * per_sigma;
  const Vec<R> slope = dz - from_ratio;
  CodeSlopes<R> d;
  d.q.mu = slope + from_kl;
  d.q.log_sigma = slope * sigma * noise + dkl * (width * width - 1) + dratio;
  d.p.mu = from_ratio - from_kl;
  d.p.log_sigma = dratio * (seen * seen - 1) - dkl * (off * off + width * width - 1);
  d.noise = slope * sigma + dratio * noise;
  return d;
}

}  // namespace draw
