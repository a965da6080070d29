"""The rest of images of which a part is known: weights, answers, pictures, the verb."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.visualize.completions import UNKNOWN_COLOUR, completion_strip, half_mask
from running import TINY_DIGITS, draw_command, with_normal_weights

SIZES = {
    "rows": 5, "columns": 4, "glimpses": 2, "hidden_size": 5, "latent_size": 2, "read_size": 2,
    "write_size": 3, "classes": 3,
}  # fmt: skip
LEFT = half_mask("left", (1, 5, 4))


def randomised(scale: float = 0.6, **parts: object) -> DRAW:
    model = DRAW(DRAWConfig(**{**SIZES, **parts}))  # type: ignore[arg-type]
    return with_normal_weights(model, scale)


def moderate() -> DRAW:
    """One whose codes decide what is drawn, and whose encoder is not sure of them."""
    model = randomised(scale=0.9)
    with torch.no_grad():
        for affine in (model.mu, model.log_sigma):
            for parameter in affine.parameters():
                parameter *= 0.2
    return model


def pictures(batch: int = 2, channels: int = 1) -> Tensor:
    random = torch.Generator().manual_seed(3)
    return torch.randint(2, (batch, channels, 5, 4), generator=random).float()


def test_the_mean_weight_is_the_likelihood_of_what_is_known() -> None:
    """Against the prior's own codes, of which there are enough for so small a model."""
    model, x = moderate(), pictures(2)
    found = model.complete(x, LEFT, 4, particles=2000, rounds=1, seed=1)
    drawn = model.generate(40_000, seed=5).canvases[-1]
    for image, nats in zip(x, found.known_nats, strict=True):
        cost = binary_cross_entropy_with_logits(drawn, image.expand_as(drawn), reduction="none")
        known = cost[:, 0][:, LEFT].sum(1).double()
        expected = math.log(len(drawn)) - float((-known).logsumexp(0))
        assert float(nats) == pytest.approx(expected, abs=0.05)


def test_answers_are_chosen_by_what_is_known() -> None:
    """Means of the hidden half under the weights, against those under the prior's codes."""
    model = moderate()
    drawn = model.generate(40_000, seed=5).canvases[-1][:, 0]
    x = (drawn.mean(0) < 0).float()[None, None]  # contrary to what the prior expects
    cost = binary_cross_entropy_with_logits(drawn, x[0].expand_as(drawn), reduction="none")
    chances = (-cost[:, LEFT].sum(1)).double().softmax(0)
    expected = (chances[:, None] * drawn[:, ~LEFT].sigmoid()).sum(0)
    prior = drawn[:, ~LEFT].sigmoid().mean(0)
    found = model.complete(x, LEFT, 400, particles=32, rounds=1, seed=2)
    means = found.images[:, 0, 0][:, ~LEFT].mean(0).double()
    apart, chance = (means - expected).abs().sum(), (prior - expected).abs().sum()
    assert chance > 0.15, "it matters what is known"
    assert apart < chance / 2


def test_what_is_known_is_kept_and_what_is_not_has_no_effect() -> None:
    model, x = randomised(channels=3), pictures(2, 3)
    other = torch.where(LEFT, x, 1 - x)
    one, same = (model.complete(image, LEFT, 3, particles=4, rounds=2) for image in (x, other))
    assert torch.equal(one.images, same.images)
    assert torch.equal(one.images[:, :, :, LEFT], x[:, :, LEFT].expand(3, -1, -1, -1))
    assert not torch.equal(one.images[0], one.images[1])


def test_answers_do_not_depend_on_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = randomised(), pictures(3)
    many = model.complete(x, LEFT, 5, particles=4, rounds=1)
    few = model.complete(x[:2], LEFT, 2, particles=4, rounds=1)
    torch.testing.assert_close(few.images, many.images[:2, :2])
    monkeypatch.setattr("draw.model.completion.AT_ONCE", 4)
    torch.testing.assert_close(
        model.complete(x, LEFT, 5, particles=4, rounds=1).images, many.images
    )


def test_effective_samples_are_between_one_and_all() -> None:
    model, x = randomised(), pictures(2)
    found = model.complete(x, LEFT, 3, particles=6, rounds=1).effective_samples
    assert found.shape == (3, 2)
    assert ((found >= 1) & (found <= 6)).all()
    assert (found > 1.01).any()
    assert torch.equal(model.complete(x, LEFT, 2, particles=1).effective_samples, torch.ones(2, 2))
    nothing = torch.zeros(5, 4, dtype=torch.bool)
    assert model.complete(x, nothing, 1, rounds=0).images.shape == (1, 2, 1, 5, 4)
    assert torch.equal(model.complete(x, ~nothing, 1, rounds=0).images[0], x)


def test_each_image_may_have_a_mask_of_its_own() -> None:
    model, x = randomised(), pictures(2)
    masks = torch.stack([LEFT, ~LEFT])
    found = model.complete(x, masks, 2, particles=3, rounds=1)
    for i, mask in enumerate(masks):
        assert torch.equal(found.images[0, i, :, mask], x[i, :, mask])
    alone = model.complete(x[:1], LEFT, 2, particles=3, rounds=1)
    torch.testing.assert_close(found.images[:, :1], alone.images)


def test_a_class_is_told() -> None:
    model, x = randomised(condition="class"), pictures(2)
    one, other = (
        model.complete(x, LEFT, 2, particles=3, rounds=1, labels=torch.tensor(labels)).images
        for labels in ([0, 1], [2, 1])
    )
    assert torch.equal(one[:, 1], other[:, 1])
    assert not torch.equal(one[:, 0], other[:, 0])


class Blended(nn.Module):
    """Its pixels depend on each other."""

    def forward(self, canvas: Tensor, images: Tensor) -> Tensor:
        return (canvas.sigmoid() - images).flatten(1).sum(1).square()


@pytest.mark.usefixtures("without_shape_checks")
def test_what_makes_no_sense_is_refused() -> None:
    model, x = randomised(), pictures(2)
    for mask in (LEFT.float(), LEFT[:3], LEFT.expand(3, 5, 4)):
        with pytest.raises(DrawError, match=r"expected a mask of torch\.bool, .*\[5, 4\] or \[2"):
            model.complete(x, mask, 1)
    for wrong in ({"n": 0}, {"particles": 0}, {"rounds": -1}):
        with pytest.raises(DrawError, match=rf"expected {next(iter(wrong))} to be a whole number"):
            model.complete(x, LEFT, **wrong)
    model.likelihood = Blended()
    with pytest.raises(DrawError, match=r"a sum over pixels .* got Blended"):
        model.complete(x, LEFT, 1, rounds=0)


def test_halves_hold_the_middle_of_odd_sizes() -> None:
    counts = {name: int(half_mask(name, (1, 5, 4)).sum()) for name in
              ("left", "right", "top", "bottom")}  # fmt: skip
    assert counts == {"left": 10, "right": 10, "top": 12, "bottom": 12}
    assert half_mask("left", (1, 5, 4))[:, 0].all()
    assert half_mask("top", (1, 5, 4))[0].all()
    assert half_mask("right", (1, 5, 4))[:, -1].all()
    assert half_mask("bottom", (1, 5, 4))[-1].all()


def test_the_strip_shows_what_is_not_known(tmp_path: Path) -> None:
    x = pictures(2)
    path = completion_strip(x, LEFT, torch.rand(3, 2, 1, 5, 4), tmp_path / "a.png")
    colours = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    assert (colours == UNKNOWN_COLOUR).all(1).sum() > 100


@pytest.mark.usefixtures("without_shape_checks")
def test_the_verb(tmp_path: Path) -> None:
    draw_command(
        "train", "digits", "--out", "run", *TINY_DIGITS, "--train.steps", "1",
        "--data.cache-dir", "cache", cwd=tmp_path,
    )  # fmt: skip
    Image.new("L", (28, 28), 255).save(tmp_path / "a.png")
    white = Image.new("L", (28, 28), 0)
    white.paste(255, (0, 0, 28, 7))
    white.save(tmp_path / "mask.png")
    quick = ("--n", "2", "--particles", "2", "--rounds", "1")
    for mask, known in (("left", 392), ("bottom", 392), ("mask.png", 196)):
        draw_command(
            "complete", "run", "a.png", "--mask", mask, *quick, "--out", "b.png", "--json",
            "b.json", cwd=tmp_path,
        )  # fmt: skip
        found = json.loads((tmp_path / "b.json").read_text())
        assert found["known_pixels"] == known
        assert len(found["effective_samples"]) == 2
        assert (tmp_path / "b.png").stat().st_size > 0
    failed = draw_command("complete", "run", "a.png", "--mask", "middle", cwd=tmp_path, check=1)
    assert "expected --mask left, right, top, bottom, or a picture" in failed.stderr
    failed = draw_command("complete", "run", "none.png", cwd=tmp_path, check=1)
    assert "none.png: does not exist" in failed.stderr


@pytest.mark.parametrize("condition", ["none", "known"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_of_half_precision_completes(condition: str, dtype: torch.dtype) -> None:
    """Its likelihood is a sum over pixels too, though 16 bits would not have it add up."""
    config = DRAWConfig(rows=24, columns=24, glimpses=2, hidden_size=5, latent_size=2,
                        condition=condition)  # fmt: skip
    model = DRAW(config).to(dtype)
    x, left = (torch.rand(2, 1, 24, 24) > 0.5).to(dtype), half_mask("left", (1, 24, 24))
    found = model.complete(x, left, 2, seed=1)
    assert found.images.dtype == dtype
    assert found.hidden_nats.dtype == torch.float32
    assert model.complete(x[:0], left, 2).hidden_nats.dtype == torch.float32
