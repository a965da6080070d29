"""DRAW as a plain loop under autograd: eqs 1-8 and 13-16, the executable specification."""

import math
import os
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from draw.attention import Attention, make_attention
from draw.attention.abstract import AbstractWindow
from draw.config.data import Split
from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.extras import explain_missing
from draw.kernels import BACKENDS
from draw.model.checks import (
    ImageCheck,
    check_guidance,
    check_labels,
    check_noise,
    check_weights,
)
from draw.model.completion import Completion, complete
from draw.model.encoding import Latents, latents
from draw.model.guidance import guided_trajectory
from draw.model.memory import check_drawings
from draw.model.preprocessing import images_of
from draw.model.pretrained import Pretrained
from draw.model.recurrent import Recurrent
from draw.parts.conditions import condition_of
from draw.parts.conditions.known import KnownPixels, hidden_loss
from draw.parts.distribution import Gaussian
from draw.parts.layers import Affine, LSTMCell
from draw.parts.likelihood import make_likelihood
from draw.parts.objective import kl_divergence, log_prior_over_posterior
from draw.parts.priors import make_prior
from draw.parts.state import (
    NO_LABEL,
    NOTHING,
    Context,
    DRAWOutput,
    Posterior,
    State,
    Step,
    Trajectory,
    UnrollOutput,
    stack_windows,
)
from draw.randomness import GENERATION, image_noise


class DRAW(
    Recurrent,
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
    with config.json and model.safetensors.
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
        self._check_images = ImageCheck()
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
                left out and 1 / (1 - p) elsewhere; None for all units. With it the model's own
                loop runs.
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
        if unit_mask is None:
            backend = BACKENDS[self.choice.name]
            canvas, kl, log_ratio = backend.unroll(self, images, noise, context)
        else:
            canvas, kl, log_ratio = self.unroll(images, noise, context, unit_mask=unit_mask)
        if known is None:
            reconstruction = self.likelihood(canvas, images)  # (9)
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

    def labels_for(
        self, n: int, label: int | Literal["none"] | None = None
    ) -> Int[Tensor, " n"] | None:
        """Labels of n new drawings: one class for all, or each class in turn.

        Args:
            n: number of drawings.
            label: class of all drawings, or "none" where none is to be told; None for each class
                in turn, and for an unconditional model.
        """
        device = self.canvas_0.device
        label = NO_LABEL if label == "none" else label
        if label is not None:
            return torch.full((n,), label, device=device)
        if not self.condition.takes_labels:
            return None
        return torch.arange(n, device=device) % self.config.classes

    def context(self, labels: Int[Tensor, " batch"] | None, n: int) -> Context:
        """Conditioning of n drawings: what `draw.parts.conditions` adds to the LSTMs' gates.

        Args:
            labels: class of each drawing, [n], or `NO_LABEL` for none; None for an unconditional
                model, and for drawings of no given class.
            n: number of drawings.

        Raises:
            ValueError: if the labels do not fit the model's condition.
        """
        if labels is None and self.config.label_dropout:
            labels = self.labels_for(n, "none")
        check_labels(self.config, self.condition.takes_labels, labels, n)
        return self.addends(labels)

    def known_context(
        self,
        images: Float[Tensor, "batch channels rows columns"],
        known: Bool[Tensor, "batch rows columns"],
    ) -> Context:
        """Conditioning on the known pixels of images; see `draw.parts.conditions.known`.

        Args:
            images: images in [0, 1]; what they hold where nothing is known has no effect.
            known: true where a pixel is known.

        Raises:
            DrawError: if the model is not told pixels, or the mask has another shape or type.
        """
        if not isinstance(self.condition, KnownPixels):
            raise DrawError(
                f"expected no mask for a model of condition {self.config.condition!r}, which is "
                "not told pixels; train one with --model.condition known"
            )
        expected = len(images), self.config.rows, self.config.columns
        if known.dtype != torch.bool or known.shape != expected:
            raise DrawError(
                f"expected a mask of torch.bool, true where a pixel is known, of shape "
                f"{list(expected)}, got {known.dtype} of {list(known.shape)}"
            )
        return self.condition.of(images, known)

    def addends(self, labels: Int[Tensor, " batch"] | None) -> Context:
        """`context` of labels that fit.

        # ours: where no class is told nothing is added to the gates, whose own biases serve it.

        Args:
            labels: class of each drawing, [n]; None for an unconditional model.
        """
        if labels is None or not self.config.label_dropout:
            context: Context = self.condition(labels)
            return context
        told = (labels >= 0)[:, None]
        each = self.condition(labels.clamp_min(0))
        return Context(*(None if addend is None else addend * told for addend in each))

    @torch.no_grad()
    def reconstruct(
        self,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"] | None = None,
        *,
        seed: int = 0,
        labels: Int[Tensor, " batch"] | None = None,
    ) -> Trajectory:
        """Draw given images anew: canvases, read and write windows of every step.

        Args:
            images: images, float, [batch, channels, rows, columns], in [0, 1].
            noise: standard normal noise, [glimpses, batch, latent]; by default made from the seed.
            seed: seed of the noise; the same seed gives the same drawing.
            labels: class of each image, for a class-conditional model.

        Raises:
            ValueError: if images, noise or labels are not as the model expects them, or its
                weights are not finite.
        """
        check_drawings(self.config, len(images))
        check_weights(self.state_dict().items(), "the model")
        if noise is None:
            noise = self.noise_for(len(images), seed)
        noise = self._checked_noise(images, noise)
        return self._drawn(images, noise, self.context(labels, len(images)))

    @torch.no_grad()
    def generate(
        self,
        n: int,
        *,
        seed: int = 0,
        noise: Float[Tensor, "glimpses batch latent"] | None = None,
        temperature: float = 1.0,
        labels: Int[Tensor, " n"] | None = None,
        guidance: float = 1.0,
    ) -> Trajectory:
        """Draw n new images, and return every step of the drawings (eqs 13-16).

        Args:
            n: number of images, at least 1.
            seed: seed of the noise; the same seed gives the same images, and image i does not
                depend on n.
            noise: standard normal noise, [glimpses, n, latent]; by default made from the seed. The
                prior makes z_1 .. z_T of the noise times the temperature; the paper's prior leaves
                it as it is.
            temperature: standard deviation of the noise, 1 in the paper; with less, images are
                nearer to the likeliest ones and less various.
            labels: class of each drawing, for a class-conditional model; by default each class in
                turn.
            guidance: how clearly the class shows: 1 as learned, above it more so, 0 as without a
                class; see `draw.model.guidance`. For a model of model.label_dropout above 0.

        Raises:
            ValueError: if n is below 1, the noise has another shape, the temperature is negative
                or not finite, the drawings cannot fit into memory, or the weights are not finite.
        """
        check_weights(self.state_dict().items(), "the model")
        if n < 1:
            raise DrawError(f"expected a number of images of at least 1, got {n}")
        if not 0 <= temperature < math.inf:
            raise DrawError(f"expected a temperature of at least 0, got {temperature}")
        check_drawings(self.config, n)
        if noise is None:
            noise = self.noise_for(n, seed)
        check_noise(self.config, self.canvas_0.dtype, noise, n)
        labels = self.labels_for(n) if labels is None else labels
        told = self.context(labels, n)
        if guidance == 1:
            return self._drawn(None, temperature * noise, told)
        check_guidance(self.config, guidance)
        untold = self.context(None, n)
        return guided_trajectory(self, temperature * noise, told, untold, guidance)

    def _drawn(self, images: Tensor | None, noise: Tensor, context: Context) -> Trajectory:
        return BACKENDS[self.choice.name].trajectory(self, images, noise, context)

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

    def complete(
        self,
        images: Float[Tensor, "batch channels rows columns"],
        mask: Bool[Tensor, "rows columns"] | Bool[Tensor, "batch rows columns"],
        n: int = 1,
        *,
        seed: int = 0,
        labels: Int[Tensor, " batch"] | None = None,
        particles: int | None = None,
        rounds: int | None = None,
    ) -> Completion:
        """Draw what is not known of images; see `draw.model.completion.complete`.

        Args:
            images: images, float, [batch, channels, rows, columns], in [0, 1].
            mask: true where a pixel is known, [rows, columns] or [batch, rows, columns].
            n: answers for each image.
            seed: seed of all chance.
            labels: class of each image, for a class-conditional model.
            particles: drawings among which an answer is chosen by the likelihood of what is known,
                16 by default; none for a model that is told what is known.
            rounds: rounds of the chain that proposes the answers, 10 by default; none likewise.

        Raises:
            DrawError: if images, mask or labels do not fit, or a number is too small.
        """
        return complete(
            self, images, mask, n, seed=seed, labels=labels, particles=particles, rounds=rounds
        )

    @torch.no_grad()
    def encode(
        self,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"] | None = None,
        *,
        seed: int = 0,
        labels: Int[Tensor, " batch"] | None = None,
    ) -> Posterior:
        """Compute the posterior of every step, a sample of it, and its KL (eqs 1-6, 10).

        With the same seed, `reconstruct` draws the images from these very codes.

        Args:
            images: images, float, [batch, channels, rows, columns], in [0, 1].
            noise: standard normal noise of the posterior samples, [glimpses, batch, latent]; by
                default made from the seed.
            seed: seed of the noise; the same seed gives the same codes.
            labels: class of each image, for a class-conditional model.

        Raises:
            ValueError: if images, noise or labels are not as the model expects them, or its
                weights are not finite.
        """
        check_weights(self.state_dict().items(), "the model")
        if noise is None:
            noise = self.noise_for(len(images), seed)
        noise = self._checked_noise(images, noise)
        context = self.context(labels, len(images))
        steps = [step for _, step in self._glimpses(images, noise, context)]
        posterior = Gaussian.stack([step.posterior for step in steps])
        prior = Gaussian.stack([step.prior for step in steps])
        z = torch.stack([step.z for step in steps])
        return Posterior(*posterior, z, kl_divergence(posterior, prior).mT)

    def latents(
        self,
        images: Any = None,
        *,
        labels: Any = None,
        to: str | os.PathLike[str] | None = None,
        split: Split = "test",
        seed: int = 0,
        batch_size: int = 250,
    ) -> Latents:
        """Compute the latents of a whole set of images, and write them to a file if asked for.

        The codes of image i depend on its number and the seed, not on the size of a batch; the
        file is safetensors, with a tensor for each field of the result.

        Args:
            images: images, as `draw.model.preprocessing.images_of` takes them: an array, a tensor,
                a folder, a data set, or None for the data set that the model was trained on.
            labels: class of each image; None for those of the data set, if any.
            to: file to write, which ends in .safetensors; None for none.
            split: split to take of a folder or a data set.
            seed: seed of the noise of the samples.
            batch_size: images at a time; only speed and memory depend on it.

        Raises:
            DrawError: if images or labels do not fit the model, or the file cannot be written.
        """
        with explain_missing():
            found = images_of(self, images, labels, split=split)
        return latents(self, found, to=to, seed=seed, batch_size=batch_size)

    @torch.no_grad()
    def codes(
        self,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"] | None = None,
        *,
        seed: int = 0,
        labels: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "glimpses batch latent"]:
        """Noise from which `generate` draws what `reconstruct` draws of given images (eqs 1-8).

        The result is z_1 .. z_T in units of the prior, (z_t - mu_p) / sigma_p, which for the
        paper's prior is z_t itself.

        Args:
            images: images, float, [batch, channels, rows, columns], in [0, 1].
            noise: standard normal noise of the posterior samples, [glimpses, batch, latent]; by
                default made from the seed.
            seed: seed of the noise; the same seed gives the same codes.
            labels: class of each image, for a class-conditional model.

        Raises:
            ValueError: if images, noise or labels are not as the model expects them, or its
                weights are not finite.
        """
        check_weights(self.state_dict().items(), "the model")
        if noise is None:
            noise = self.noise_for(len(images), seed)
        noise = self._checked_noise(images, noise)
        glimpses = self._glimpses(images, noise, self.context(labels, len(images)))
        return torch.stack([step.prior.noise_of(step.z) for _, step in glimpses])

    @classmethod
    def _load_as_safetensor(  # type: ignore[override]
        cls, model: "DRAW", model_file: str, map_location: str, strict: bool
    ) -> "DRAW":
        """Weights that do not fit the model are an error, whatever the hub mixin's default."""
        return super()._load_as_safetensor(model, model_file, map_location, strict=True)

    @classmethod
    def _load_as_pickle(  # type: ignore[override]
        cls, model: "DRAW", model_file: str, map_location: str, strict: bool
    ) -> "DRAW":
        """Never: a pickle can run code."""
        raise ValueError(
            f"expected weights in model.safetensors, got {model_file}; draw reads no pickles"
        )

    def noise_for(self, n: int, seed: int) -> Float[Tensor, "glimpses batch latent"]:
        """Noise that `generate` and `reconstruct` make from a seed, on the model's device.

        Args:
            n: number of images.
            seed: whole number of at least 0.
        """
        shape = self.config.glimpses, self.config.latent_size
        return image_noise(seed, GENERATION, range(n), shape).to(self.canvas_0)

    def _checked_noise(self, images: Tensor, noise: Tensor | None) -> Tensor:
        self._check_images(self.config, self.canvas_0.dtype, images)
        if noise is None:
            return torch.randn(
                self.config.glimpses, len(images), self.config.latent_size,
                dtype=images.dtype, device=images.device,
            )  # fmt: skip
        check_noise(self.config, self.canvas_0.dtype, noise, len(images))
        return noise
