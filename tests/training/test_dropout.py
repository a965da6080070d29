"""Variational dropout of the decoder: the same units at all steps, by seed and step alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from draw.config.model import ClassifierConfig, DRAWConfig
from draw.config.run import Config
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.models.storage import load_model
from draw.tasks import Needs
from draw.training.feed import Batcher, feed_at
from draw.training.learning import freeze_decoder
from draw.training.start import start
from running import TINY, image_set, with_train

SETS = [image_set(count, split) for count, split in ((10, "train"), (7, "validation"))]


def test_factors_are_of_seed_and_step_alone() -> None:
    images = image_set(50)
    train = dataclasses.replace(TINY.train, batch_size=40, seed=3)
    needs = Needs((2, 3), binarize=False, labels=False, dropout=(200, 0.25))

    def kept(step: int, own: slice) -> torch.Tensor:
        feed = feed_at(step, images, needs, train, own)
        found = Batcher(needs, 3, own)(feed, torch.tensor(step)).unit_mask
        assert found is not None
        return found

    whole = kept(4, slice(0, 40))
    assert torch.equal(whole, kept(4, slice(0, 40)))
    assert torch.equal(whole[20:], kept(4, slice(20, 40)))
    assert not torch.equal(whole, kept(5, slice(0, 40)))
    assert set(whole.unique().tolist()) == {0.0, float(np.float32(1) / np.float32(0.75))}
    assert 0.2 < (whole == 0).float().mean() < 0.3
    assert abs(float(whole.mean()) - 1) < 0.05
    plain = feed_at(4, images, needs._replace(dropout=None), train, slice(0, 40))
    assert plain.unit_mask is None


def test_the_same_units_are_left_out_at_every_step() -> None:
    """Those of a decoder whose outputs are scaled by hand after each step."""
    config = DRAWConfig(
        rows=6, columns=5, glimpses=3, hidden_size=7, latent_size=3, read_size=2, write_size=2
    )
    torch.manual_seed(1)
    model = DRAW(config).double()
    random = torch.Generator().manual_seed(2)
    x = torch.rand(4, 1, 6, 5, generator=random, dtype=torch.float64)
    noise = torch.randn(3, 4, 3, generator=random, dtype=torch.float64)
    factors = 2.0 * (torch.rand(4, 7, generator=random) < 0.5).double()
    found = model(x, noise, unit_mask=factors)
    handle = model.lstm_dec.register_forward_hook(
        lambda module, given, state: (state[0] * factors, state[1])
    )
    expected = model(x, noise)
    handle.remove()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    everything = model(x, noise, unit_mask=torch.ones_like(factors))
    torch.testing.assert_close(everything.bound, model(x, noise).bound)
    assert not torch.allclose(found.bound, everything.bound)


def test_training_learns_with_it(tmp_path: Path) -> None:
    config = with_train(TINY, steps=3, decoder_dropout=0.5)
    for name, one in (("one", config), ("same", config), ("plain", with_train(TINY, steps=3))):
        start(one, tmp_path / name, *SETS).fit()
    one, same, plain = (
        load_model(str(tmp_path / name), "last").drawing.state_dict()
        for name in ("one", "same", "plain")
    )
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert any(not torch.equal(value, plain[name]) for name, value in one.items())


def test_a_classifier_has_no_decoder(tmp_path: Path) -> None:
    sets = [dataclasses.replace(one, labels=np.arange(one.count) % 3) for one in SETS]
    looks = ClassifierConfig(rows=6, columns=5, glimpses=2, hidden_size=4, read_size=2, classes=3)
    config: Config = dataclasses.replace(TINY, model=looks)
    refused = r"expected a model that draws for train\.(only|decoder).* got a Classifier"
    with pytest.raises(DrawError, match=refused):
        start(with_train(config, decoder_dropout=0.5), tmp_path / "run", *sets)
    with pytest.raises(DrawError, match=refused):
        freeze_decoder(Classifier(looks))
