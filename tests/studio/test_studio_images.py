"""Images that the studio is given by name, and the choice of what differs."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from draw.config.data import DataConfig
from draw.errors import DrawError
from draw.models.storage import LoadedModel
from draw.studio import exploration, reconstruction
from draw.studio.exploration import Ends, farthest_pair
from draw.studio.given_images import OWN, GivenImages, given_images
from draw.studio.image_source import examples, training_images
from draw.studio.models import Catalogue, Shelf
from studio_runs import COLOUR, DRAWS, make_run

CLASSES = dataclasses.replace(DRAWS, condition="class", classes=3)


def pictures(folder: Path, shape: tuple[int, ...], count: int = 30) -> Path:
    """A folder of grey pictures, each of one value of its own, or of coloured ones."""
    folder.mkdir()
    for k in range(count):
        pixels = np.full(shape, 8 * k, np.uint8)
        pixels[0, 0] = 255
        Image.fromarray(pixels).save(folder / f"{k:02}.png")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    cache = str(root / "cache")
    binarized = DataConfig(name="binarized_mnist", binarize="none", cache_dir=cache)
    make_run(root / "runs" / "binary", DRAWS, binarized)
    make_run(root / "runs" / "colour", COLOUR, DataConfig(name="images", cache_dir=cache))
    make_run(root / "runs" / "told", CLASSES, DataConfig(name="mnist", cache_dir=cache))
    pictures(root / "grey", (28, 28))
    pictures(root / "small=er", (12, 10, 3))
    return root


@pytest.fixture(scope="module")
def shelf(root: Path) -> Shelf:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        given = given_images([f"mine={root / 'grey'}", str(root / "small=er")])
    return Shelf(Catalogue(None, root / "runs"), given=given)


def lent(shelf: Shelf, name: str) -> LoadedModel:
    with shelf.use(name) as loaded:
        return loaded


class TestGiven:
    def test_names_are_given_or_the_folders(self, shelf, root):
        assert shelf.given == (
            GivenImages("mine", str(root / "grey"), (1, 28, 28)),
            GivenImages("small=er", str(root / "small=er"), (3, 12, 10)),
        )

    def test_a_name_twice_is_refused(self, root):
        with pytest.raises(
            DrawError, match=r"another name for each --data\.path, got 'mine' twice"
        ):
            given_images([f"mine={root / 'grey'}", f"mine={root / 'small=er'}"])

    @pytest.mark.parametrize("text", ["", "=", "name=", " =nowhere"])
    def test_what_is_no_folder_with_a_name_is_refused(self, text):
        with pytest.raises(DrawError, match=r"expected --data\.path to be FOLDER or NAME=FOLDER"):
            given_images([text])

    def test_what_is_not_on_this_computer_is_refused(self, tmp_path):
        with pytest.raises(DrawError, match=r"there is no folder .*none"):
            given_images([f"mine={tmp_path / 'none'}"])
        with pytest.raises(DrawError, match=r"--data\.path to be a folder or file on this"):
            given_images(["mine=owner/name"])

    def test_grey_ones_are_binarized_for_a_model_of_binary_images(self, shelf):
        found = examples(lent(shelf, "runs/binary"), choice=shelf.images())
        assert found.note == "from mine, binarized"
        image = found.images.images[1]
        assert set(np.unique(image)) - {0, 255}
        made = reconstruction.reconstruct(shelf, "runs/binary", image)
        assert set(made.image.unique().tolist()) == {0, 1}
        assert made.dynamic
        assert made.likelihood

    def test_chosen_ones_that_do_not_fit_are_refused_with_the_reason(self, shelf):
        loaded = lent(shelf, "runs/binary")
        expected = r"expected images of 28×28×1 .*, got 10×12×3 from small=er"
        for find in (lambda choice: examples(loaded, choice=choice),
                     lambda choice: training_images(loaded, choice)):  # fmt: skip
            with pytest.raises(DrawError, match=expected):
                find(shelf.images("small=er"))
            with pytest.raises(DrawError, match="expected images among the model's own, mine, sm"):
                find(shelf.images("another"))

    def test_without_a_choice_the_first_that_fit_are_taken(self, shelf):
        for chosen in (None, OWN):
            found = examples(lent(shelf, "runs/colour"), choice=shelf.images(chosen))
            assert found.note == "from small=er"


class TestNearest:
    def test_it_is_offered_where_it_works_and_says_which_images(self, shelf):
        for name, chosen, note in (
            ("runs/binary", None, "training images of mine"),
            ("runs/colour", "small=er", "training images of small=er"),
        ):
            assert exploration.obstacle_to_neighbours(shelf, name, chosen) is None
            *_, last = exploration.neighbours(shelf, name, 1, chosen)
            assert (last.note, last.pool) == (note, last.total)

    def test_it_is_not_offered_where_it_would_fail(self, shelf, root):
        none = Shelf(Catalogue(None, root / "runs"))
        for each, name, chosen in ((none, "runs/binary", None), (shelf, "runs/colour", "mine")):
            obstacle = exploration.obstacle_to_neighbours(each, name, chosen)
            assert obstacle is not None
            with pytest.raises(DrawError) as refused:
                next(exploration.neighbours(each, name, 1, chosen))
            assert str(refused.value) == obstacle


class TestDifferent:
    def test_the_farthest_pair(self):
        images = torch.tensor([0.0, 0.5, 0.1, 0.9])[:, None, None, None]
        assert farthest_pair(images) == (0, 3)
        assert farthest_pair(images, torch.tensor([1, 2, 2, 1])) == (2, 3)
        assert farthest_pair(images, torch.tensor([1, 1, 1, 1])) == (0, 3)
        assert farthest_pair(torch.zeros(2, 1, 1, 1)) == (0, 1)

    def test_seeds_differ_as_no_others_do(self, shelf):
        ends = exploration.differing_seeds(shelf, "runs/binary")
        assert ends.classes is None
        show = exploration.interpolate_seeds(shelf, "runs/binary", ends)
        assert show.captions[0] == f"seed {ends.first}"
        model = lent(shelf, "runs/binary").drawing
        seeds = range(1, exploration.AMONG + 1)
        drawn = [model.generate(1, noise=model.noise_for(1, k)).images[-1] for k in seeds]
        apart = [float((drawn[ends.first - 1] - one).norm()) for one in drawn]
        assert max(apart) == pytest.approx(apart[ends.second - 1])

    def test_of_a_class_conditional_model_two_classes(self, shelf):
        ends = exploration.differing_seeds(shelf, "runs/told")
        assert ends.classes is not None
        assert len(set(ends.classes)) == 2
        show = exploration.interpolate_seeds(shelf, "runs/told", ends)
        assert show.captions[-1] == f"seed {ends.second}, class {ends.classes[1]}"

    def test_two_test_images_differ(self, shelf):
        ends = exploration.differing_images(shelf, "runs/binary", "mine")
        found = examples(lent(shelf, "runs/binary"), choice=shelf.images("mine")).images
        first, second = found.images[ends.first - 1], found.images[ends.second - 1]
        assert abs(float(first.mean()) - float(second.mean())) > 10
        assert ends != Ends(1, 2)
