"""What the page computes with by itself, and what its address restores."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch

from draw.errors import DrawError
from draw.page import document
from draw.studio.address import restore
from draw.studio.carried import noise_of, weights_of
from draw.studio.generation import EACH, NONE, generate, request
from draw.studio.models import Catalogue, Shelf
from studio_runs import make_runs


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(Catalogue(None, make_runs(tmp_path_factory.mktemp("carried") / "runs")))


class TestCarried:
    def test_weights_come_with_the_options(self, shelf: Shelf, tmp_path: Path) -> None:
        path = tmp_path / "weights.safetensors"
        path.write_bytes(weights_of(shelf, "runs/draws"))
        with safetensors.safe_open(path, "pt") as file:
            config = json.loads(file.metadata()["config"])
            names = {*file.keys()}
        with shelf.use("runs/draws") as loaded:
            assert names == {*loaded.drawing.state_dict()}
        assert (config["kind"], config["glimpses"], config["latent_size"]) == ("draw", 4, 4)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("runs/colour", "cannot be computed in the browser, where this is shown: expected"),
            ("runs/slow", "million weights and 256 steps: too much for the browser"),
            ("runs/looks", "expected a model that draws"),
            ("nobody", "expected one of the models"),
        ],
    )
    def test_a_model_that_javascript_does_not_compute_is_told(
        self, shelf: Shelf, name: str, words: str
    ) -> None:
        with pytest.raises(DrawError, match=words):
            weights_of(shelf, name)

    def test_noise_is_that_of_the_drawing(self, shelf: Shelf) -> None:
        sent = np.frombuffer(noise_of(shelf, "runs/draws", "7", "2"), "<f4").reshape(4, 1, 4)
        *_, show = generate(shelf, request("runs/draws", 3, 7, 1.0))
        assert show.origin == {
            "model": "runs/draws", "seed": 7, "temperature": 1.0, "guidance": 1.0, "labels": None,
        }  # fmt: skip
        with shelf.use("runs/draws") as loaded:
            alone = loaded.drawing.generate(1, noise=torch.tensor(sent))
            whole = loaded.drawing.generate(3, seed=7)
        assert torch.equal(alone.images[:, 0], whole.images[:, 2])

    @pytest.mark.parametrize(("seed", "index"), [("-1", "0"), ("1", "64"), ("", "0"), ("1", "²")])
    def test_numbers_that_are_none_are_told(self, shelf: Shelf, seed: str, index: str) -> None:
        with pytest.raises(DrawError, match=r"expected the (seed|number of the drawing)"):
            noise_of(shelf, "runs/draws", seed, index)


class TestLinks:
    def test_what_is_there_is_restored(self) -> None:
        text = "tab=Runs&model=runs%2Fa&seed=9&temperature=0.5&label=-1&drawing=3&step=2"
        link = restore(text, ["runs/a"], ["Generate", "Runs"])
        wanted = {"tab": "Runs", "model": "runs/a", "seed": 9, "temperature": 0.5, "label": "none"}
        assert (link.values, link.lacking) == (wanted, "")

    @pytest.mark.parametrize(
        ("text", "choice"), [("7", "7"), ("none", NONE), ("-1", NONE), ("each+in+turn", EACH)]
    )
    def test_a_class_is_one_of_the_page(self, text: str, choice: str) -> None:
        assert restore(f"label={text}", [], []).values == {"label": choice}

    def test_the_address_leaves_out_what_is_chosen_at_first(self) -> None:
        script = Path(document.__file__).parent / "script" / "studio.js"
        assert f'label: "{EACH}"' in script.read_text()

    @pytest.mark.parametrize("text", [None, "", "=", "&&", "step=1", "x" * 10_000])
    def test_nothing_of_it_is_nothing(self, text: str | None) -> None:
        link = restore(text, ["a"], ["Generate"])
        assert (link.values, link.lacking) == ({}, "")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("model=b", "there is no model 'b' here"),
            ("tab=b", "there is no tab 'b' here"),
            ("seed=-1", "'-1' is no seed"),
            ("temperature=nan", "'nan' is no temperature"),
            ("number=1e999", "'1e999' is no number"),
            ("guidance=many", "'many' is no guidance"),
            ("label=-2", "'-2' is no label"),
            ("label=seven", "'seven' is no label"),
        ],
    )
    def test_what_is_not_there_is_told(self, text: str, words: str) -> None:
        link = restore(text, ["a"], ["Generate"])
        assert (link.values, link.lacking) == ({}, words)
