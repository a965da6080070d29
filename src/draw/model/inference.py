"""What a DRAW is asked for once it has learned: new images, drawings of given ones, latents."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from draw.config.data import Split
from draw.errors import DrawError
from draw.extras import explain_missing
from draw.fields import Count, is_not_negative, whole
from draw.kernels import BACKENDS
from draw.model.checks import (
    ImageCheck,
    check_guidance,
    check_is_images,
    check_noise,
    check_weights,
)
from draw.model.completion import Completion, complete
from draw.model.conditional import Conditional
from draw.model.encoding import Latents, latents
from draw.model.guidance import guided_trajectory
from draw.model.memory import check_drawings
from draw.model.preprocessing import images_of
from draw.parts.distribution import Gaussian
from draw.parts.objective import kl_divergence
from draw.parts.state import Context, Posterior, State, Step, Trajectory
from draw.randomness import GENERATION, image_noise

if TYPE_CHECKING:
    from draw.model.draw import DRAW


class Inference(Conditional):
    """Base of `draw.model.draw.DRAW` with what a user asks of it; the loop is DRAW's own."""

    def __init__(self) -> None:
        super().__init__()
        self._check_images = ImageCheck()

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
        check_is_images(images)
        check_drawings(self.config, len(images))
        return self._drawn(images, *self._noise_and_context(images, noise, seed, labels))

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
            guidance: how clearly the class shows: 1 as learned, above it more so, 0 the decoder
                that is told none; see `draw.model.guidance`. For a model of model.label_dropout
                above 0, and drawings of a class.

        Raises:
            ValueError: if n is no whole number of at least 1, the noise has another shape, the
                temperature is negative or no finite number, the drawings cannot fit into memory,
                the weights are not finite, or guidance is asked for where it can have no effect.
        """
        check_weights(self.state_dict().items(), "the model")
        n = whole("n", Count, n)
        if not is_not_negative(temperature):
            raise DrawError(f"expected a temperature of at least 0, got {temperature}")
        check_drawings(self.config, n)
        if noise is None:
            noise = self.noise_for(n, seed)
        check_noise(self.config, self.canvas_0, noise, n)
        labels = self.labels_for(n) if labels is None else labels
        told = self.context(labels, n)
        if guidance == 1:
            return self._drawn(None, temperature * noise, told)
        check_guidance(self.config, guidance, labels)
        untold = self.context(None, n)
        drawer = cast("DRAW", self)
        return guided_trajectory(drawer, temperature * noise, told, untold, guidance)

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
        drawer = cast("DRAW", self)
        return complete(
            drawer, images, mask, n, seed=seed, labels=labels, particles=particles, rounds=rounds
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
        steps = self._steps(images, noise, seed, labels)
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
        return latents(cast("DRAW", self), found, to=to, seed=seed, batch_size=batch_size)

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
        steps = self._steps(images, noise, seed, labels)
        return torch.stack([step.prior.noise_of(step.z) for step in steps])

    def noise_for(self, n: int, seed: int) -> Float[Tensor, "glimpses batch latent"]:
        """Noise that `generate` and `reconstruct` make from a seed, on the model's device.

        Args:
            n: number of images.
            seed: whole number of at least 0.
        """
        shape = self.config.glimpses, self.config.latent_size
        return image_noise(seed, GENERATION, range(n), shape).to(self.canvas_0)

    def _glimpses(
        self, images: Tensor, noise: Tensor, context: Context
    ) -> Iterator[tuple[State, Step]]:
        """State after each step, and what the step computed."""
        raise NotImplementedError

    def _steps(
        self, images: Tensor, noise: Tensor | None, seed: int, labels: Tensor | None
    ) -> list[Step]:
        """What each step of drawing given images anew computed."""
        told = self._noise_and_context(images, noise, seed, labels)
        return [step for _, step in self._glimpses(images, *told)]

    def _noise_and_context(
        self, images: Tensor, noise: Tensor | None, seed: int, labels: Tensor | None
    ) -> tuple[Tensor, Context]:
        """Noise and conditioning of drawings of given images, if weights and all these are fit."""
        check_weights(self.state_dict().items(), "the model")
        check_is_images(images)
        if noise is None:
            noise = self.noise_for(len(images), seed)
        return self._checked_noise(images, noise), self.context(labels, len(images))

    def _drawn(self, images: Tensor | None, noise: Tensor, context: Context) -> Trajectory:
        return BACKENDS[self.choice.name].trajectory(self, images, noise, context)

    def _checked_noise(self, images: Tensor, noise: Tensor | None) -> Tensor:
        self._check_images(self.config, self.canvas_0, images)
        if noise is None:
            return torch.randn(
                self.config.glimpses, len(images), self.config.latent_size,
                dtype=images.dtype, device=images.device,
            )  # fmt: skip
        check_noise(self.config, self.canvas_0, noise, len(images))
        return noise
