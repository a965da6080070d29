"""DRAW as a plain loop under autograd: eqs 1-8 and 13-16, the executable specification."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from draw.attention import Attention, make_attention
from draw.attention.abstract import AbstractWindow
from draw.config.model import DRAWConfig
from draw.kernels import BACKENDS
from draw.model.inference import Inference
from draw.model.pretrained import Pretrained
from draw.parts.conditions import condition_of
from draw.parts.conditions.known import hidden_loss
from draw.parts.distribution import Gaussian
from draw.parts.layers import Affine, LSTMCell
from draw.parts.likelihood import loss_of, make_likelihood
from draw.parts.objective import kl_divergence, log_prior_over_posterior
from draw.parts.priors import make_prior
from draw.parts.state import (
    NOTHING,
    Context,
    DRAWOutput,
    State,
    Step,
    Trajectory,
    UnrollOutput,
    stack_windows,
)


class DRAW(
    Inference,
    Pretrained,
    library_name="draw",
    tags=["draw", "variational-autoencoder"],
    license="mit",
):
    """The deep recurrent attentive writer of Gregor et al. (2015).

    >>> import torch
    >>> from draw import DRAW, DRAWConfig
    >>> model = DRAW(DRAWConfig(rows=28, columns=28, glimpses=8))
    >>> model(torch.rand(2, 1, 28, 28)).bound.shape  # nats, one per image
    torch.Size([2])
    >>> model.generate(4, seed=1).images.shape  # the whole drawing, step by step
    torch.Size([8, 4, 1, 28, 28])

    `save_pretrained` and `from_pretrained` are the Hugging Face Hub's: a folder or repository
    with config.json and model.safetensors. What a trained model is asked for, from `generate` to
    `latents`, is in `draw.model.inference`; labels and known pixels in `draw.model.conditional`.
    """

    config: DRAWConfig
    encoder: ClassVar[tuple[str, ...]] = (
        "h_enc_0", "c_enc_0", "lstm_enc.", "mu.", "log_sigma.", "attention.read_window.",
        "attention.reader.", "condition.enc.",
    )  # fmt: skip
    """How the names of parameters of the encoder begin: of all that generation does without."""

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        self._make_layers()
        self.canvas_0 = nn.Parameter(torch.zeros(config.image_shape))
        self.h_enc_0 = nn.Parameter(torch.zeros(hidden))
        self.c_enc_0 = nn.Parameter(torch.zeros(hidden))
        self.h_dec_0 = nn.Parameter(torch.zeros(hidden))
        self.c_dec_0 = nn.Parameter(torch.zeros(hidden))
        self.prior = self._make_prior()
        self.condition = condition_of(config)(config)
        self.likelihood = make_likelihood(config)
        self._start_weights()

    def _make_layers(self) -> None:
        hidden, latent = self.config.hidden_size, self.config.latent_size
        self.attention: Attention = make_attention(self.config)
        self.lstm_enc = LSTMCell(self.attention.features + hidden, hidden)
        self.lstm_dec = LSTMCell(latent, hidden)
        self.mu = Affine(hidden, latent)
        self.log_sigma = Affine(hidden, latent)

    def _make_prior(self) -> nn.Module:
        return make_prior(self.config)

    def _start_weights(self) -> None:
        """Start the weights where learning is fast; the paper does not say where they start.

        # ours: a forget-gate bias of 1 lets gradients reach back through all steps from the first
        # update on; a posterior near the prior (KL close to 0) lets codes become useful one by one.
        """
        with torch.no_grad():
            for lstm in (self.lstm_enc, self.lstm_dec):
                lstm.bias_ih[self.config.hidden_size : 2 * self.config.hidden_size] += 1
            for affine in (self.mu, self.log_sigma):
                affine.weight *= 0.1

    @staticmethod
    def specification() -> type[nn.Module]:
        """DRAW itself, whatever a subclass changes."""
        return DRAW

    def initial_state(self, batch: int) -> State:
        """The learned initial state of every drawing, expanded to a batch.

        Args:
            batch: number of drawings.
        """
        start = State(self.canvas_0, self.h_enc_0, self.c_enc_0, self.h_dec_0, self.c_dec_0)
        return State(*(part.expand(batch, *part.shape) for part in start))

    def step(
        self,
        x: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "batch latent"],
        state: State,
        context: Context = NOTHING,
        offset: Gaussian | None = None,
        unit_mask: Float[Tensor, "batch hidden"] | None = None,
    ) -> tuple[State, Step]:
        """One glimpse: read, encode, sample, decode, write (eqs 1-8).

        Args:
            x: images, [batch, channels, rows, columns], in [0, 1].
            noise: standard normal noise, one number per latent variable, [batch, latent].
            state: state after the previous step.
            context: conditioning of the drawings, from `DRAW.context`.
            offset: what is added to mu and log sigma of the posterior, each [batch, latent]; see
                `draw.measure.refinement`.
            unit_mask: factor of each unit of h_dec, as in `forward`.
        """
        x_hat = x - state.canvas.sigmoid()  # (3)
        r, read_window = self.attention.read(x, x_hat, state.h_dec)  # (4)
        seen = torch.cat([r, state.h_dec], -1)
        h_enc, c_enc = self.lstm_enc(seen, (state.h_enc, state.c_enc), context.enc)  # (5)
        posterior = Gaussian(self.mu(h_enc), self.log_sigma(h_enc))  # (1-2)
        if offset is not None:
            posterior = posterior.shift(offset)
        prior = self.prior(state.h_dec)  # ours: the paper's is N(0, 1) at every step
        z = posterior.sample(noise)  # (6)
        h_dec, c_dec = self.decode(z, state, context)  # (7)
        if unit_mask is not None:
            h_dec = h_dec * unit_mask
        written, write_window = self.attention.write(h_dec)
        canvas = state.canvas + written  # (8)
        return (
            State(canvas, h_enc, c_enc, h_dec, c_dec),
            Step(posterior, prior, z, read_window, write_window),
        )

    def decode(
        self, z: Float[Tensor, "batch latent"], state: State, context: Context = NOTHING
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch hidden"]]:
        """h_dec_t and c_dec_t, what the decoder makes of a code (eqs 7 and 14).

        Args:
            z: code of the step, [batch, latent].
            state: state after the previous step.
            context: conditioning of the drawings, from `DRAW.context`.
        """
        h_dec, c_dec = self.lstm_dec(z, (state.h_dec, state.c_dec), context.dec)
        return h_dec, c_dec

    def forward(
        self,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"] | None = None,
        labels: Int[Tensor, " batch"] | None = None,
        unit_mask: Float[Tensor, "batch hidden"] | None = None,
        known: Bool[Tensor, "batch rows columns"] | None = None,
    ) -> DRAWOutput:
        """Upper bound on -log p(x) and its parts, with one sample of z per image (eqs 9-12).

        Args:
            images: images, float, [batch, channels, rows, columns], in [0, 1].
            noise: standard normal noise, fresh for every step, [glimpses, batch, latent]; drawn
                from torch's global generator if left out.
            labels: class of each image, for a class-conditional model; the bound is then one on
                -log p(x | class).
            unit_mask: variational dropout of the decoder (Gal and Ghahramani 2016, arXiv
                1512.05287): factors of the units of h_dec, the same at all steps, 0 where a unit is
                left out and 1 / (1 - p) elsewhere; None for all units. Where they want a
                gradient the model's own loop runs.
                # ours: h_dec is scaled where it leaves the LSTM, so for the next step, the encoder,
                the windows and what is written alike; h_dec_0 is not.
            known: true where a pixel is known, for a model of condition known; the bound and its
                parts are then of -log p(x_hidden | x_known), over the other pixels alone.

        Raises:
            ValueError: if images, noise, labels or known are not as the model expects them.
        """
        noise = self._checked_noise(images, noise)
        context = self.context(labels, len(images))
        if known is not None:
            context = self.known_context(images, known)
        backend = BACKENDS[self.choice.name]
        if unit_mask is None:
            canvas, kl, log_ratio = backend.unroll(self, images, noise, context)
        elif unit_mask.requires_grad:
            canvas, kl, log_ratio = self.unroll(images, noise, context, unit_mask=unit_mask)
        else:
            canvas, kl, log_ratio = backend.unroll(self, images, noise, context, unit_mask)
        if known is None:
            reconstruction = loss_of(self.likelihood, canvas, images)  # (9)
        else:
            reconstruction = hidden_loss(self.likelihood, canvas, images, known)
        return DRAWOutput(
            canvas=canvas,
            reconstruction=reconstruction,
            kl=kl,
            bound=reconstruction + kl.sum(-1),  # (11-12)
            log_weight=log_ratio - reconstruction,
        )

    def unroll(
        self,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
        offsets: Gaussian | None = None,
        unit_mask: Float[Tensor, "batch hidden"] | None = None,
    ) -> UnrollOutput:
        """Run all steps one after another: the reference for every faster kernel (eqs 1-8, 10).

        Args:
            images: images, [batch, channels, rows, columns], in [0, 1].
            noise: standard normal noise, [glimpses, batch, latent].
            context: conditioning of the drawings, from `DRAW.context`.
            offsets: what is added to mu and log sigma of the posteriors, each [glimpses, batch,
                latent].
            unit_mask: factor of each unit of h_dec, as in `forward`.
        """
        steps = []
        for state, step in self._glimpses(images, noise, context, offsets, unit_mask):
            canvas = state.canvas
            steps.append(step)
        posterior = Gaussian.stack([step.posterior for step in steps])
        prior = Gaussian.stack([step.prior for step in steps])
        kl = kl_divergence(posterior, prior).mT  # (10)
        return UnrollOutput(canvas, kl, log_prior_over_posterior(posterior, noise, prior))

    def _glimpses(
        self,
        images: Tensor,
        noise: Tensor,
        context: Context,
        offsets: Gaussian | None = None,
        unit_mask: Tensor | None = None,
    ) -> Iterator[tuple[State, Step]]:
        """State after each step, and what the step computed."""
        state = self.initial_state(len(images))
        for t, noise_t in enumerate(noise):
            if offsets is None and unit_mask is None:
                state, step = self.step(images, noise_t, state, context)
            else:
                offset = offsets and Gaussian(offsets.mu[t], offsets.log_sigma[t])
                state, step = self.step(images, noise_t, state, context, offset, unit_mask)
            yield state, step

    def trajectory(
        self,
        images: Float[Tensor, "batch channels rows columns"] | None,
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
    ) -> Trajectory:
        """Run all steps of a drawing and keep each: the reference for every faster kernel.

        Args:
            images: images to draw anew (eqs 1-8), or None for new ones (eqs 13-15).
            noise: standard normal noise, [glimpses, batch, latent], times the temperature for new
                images.
            context: conditioning of the drawings, from `DRAW.context`.
        """
        if images is not None:
            canvases, steps = [], []
            for state, step in self._glimpses(images, noise, context):
                canvases.append(state.canvas)
                steps.append(step)
            return Trajectory(
                torch.stack(canvases),
                write_windows=stack_windows([step.write_window for step in steps]),
                read_windows=stack_windows([step.read_window for step in steps]),
            )
        state, canvases, windows = self.initial_state(noise.shape[1]), [], []
        for noise_t in noise:
            state, window = self.generate_step(noise_t, state, context)
            canvases.append(state.canvas)
            windows.append(window)
        return Trajectory(torch.stack(canvases), stack_windows(windows), read_windows=None)

    def generate_step(
        self,
        noise: Float[Tensor, "batch latent"],
        state: State,
        context: Context = NOTHING,
    ) -> tuple[State, AbstractWindow | None]:
        """One step of a new image: sample from the prior, decode and write, no encoder (eqs 13-15).

        Args:
            noise: standard normal noise times the temperature, one number per latent variable,
                [batch, latent].
            state: state after the previous step.
            context: conditioning of the drawings, from `DRAW.context`.
        """
        z = self.prior(state.h_dec).sample(noise)  # (13)
        h_dec, c_dec = self.decode(z, state, context)  # (14)
        written, window = self.attention.write(h_dec)
        canvas = state.canvas + written  # (15)
        return state._replace(canvas=canvas, h_dec=h_dec, c_dec=c_dec), window
