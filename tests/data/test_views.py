"""What views make of stored images: every place, no leaks, the same for the same seed and step."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from draw.config.data import DataConfig
from draw.config.model import DRAWConfig
from draw.config.run import Config
from draw.data import Cluttered, DataError, ImageSet, RandomCrop, TwoDigits, View, load_splits
from draw.data.batches import batch_indices
from draw.data.views.view import add, cut, places
from draw.errors import DrawError, Interruption
from draw.measure.nearest import nearest_in_training
from draw.models.kinds import task_for
from draw.randomness import VIEW_EVALUATION, generator
from draw.training.feed import feed_at
from draw.training.start import resume, resumed_config, start
from draw.training.trainer import Trainer
from running import TINY, batch_of, with_train

VIEWS = [TwoDigits(12), Cluttered(12, 3, 2), RandomCrop(3, 4)]


def images_of(count: int, size: tuple[int, int] = (5, 4), channels: int = 1) -> np.ndarray:
    return np.random.default_rng(7).integers(1, 256, (count, channels, *size), dtype=np.uint8)


def image_set(images: np.ndarray, view: View | None, split: str = "train") -> ImageSet:
    labels = np.arange(len(images)) % 10
    return ImageSet("images", split, images, labels, "made by a test", "0" * 64, False, view)


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def made(view: View, images: np.ndarray, indices: list[int], seed: int = 0) -> np.ndarray:
    return view.make(images, None, np.array(indices), chance(seed))[0]


def assert_uniform(counts: np.ndarray) -> None:
    """Pearson's chi-square within 5 standard deviations of its mean, and no empty cell."""
    expected = counts.sum() / counts.size
    assert expected >= 20
    assert counts.min() > 0
    freedom = counts.size - 1
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 5 * (2 * freedom) ** 0.5


def test_adding_and_cutting_are_what_plain_loops_do() -> None:
    random = chance()
    canvases = random.integers(0, 256, (40, 3, 9, 7), dtype=np.uint8)
    pieces = random.integers(0, 256, (40, 3, 4, 2), dtype=np.uint8)
    rows, columns = places(random, (4, 2), (9, 7), 40)
    expected = canvases.astype(int)
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        expected[i, :, row : row + 4, column : column + 2] += pieces[i]
    indices = random.integers(40, size=40)
    taken = cut(canvases, indices, rows, columns, (4, 2))
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        piece = canvases[indices[i], :, row : row + 4, column : column + 2]
        np.testing.assert_array_equal(taken[i], piece)
    add(canvases, pieces, rows, columns)
    np.testing.assert_array_equal(canvases, expected.clip(max=255))
    assert (expected > 255).any()


def test_a_digit_lies_everywhere_with_the_same_chance() -> None:
    images = np.zeros((1, 1, 3, 4), dtype=np.uint8)
    images[0, 0, 0, 0] = 255  # marks the corner
    view = Cluttered(size=9, distractors=0)
    found = made(view, images, [0] * 7 * 6 * 100).reshape(-1, 81).argmax(1)
    counts = np.bincount(found, minlength=81).reshape(9, 9)
    assert_uniform(counts[:7, :6])
    assert counts.sum() == counts[:7, :6].sum()


def test_both_of_two_digits_lie_everywhere() -> None:
    images = np.full((3, 1, 1, 1), 100, dtype=np.uint8)
    counts = (made(TwoDigits(size=5), images, [0] * 2000) / 100).sum((0, 1))
    assert_uniform(counts)
    assert counts.sum() == 4000  # two digits each, one on the other where they meet


def test_overlapping_digits_are_added_and_clipped() -> None:
    images = np.full((3, 1, 1, 1), 200, dtype=np.uint8)
    canvases = made(TwoDigits(size=3), images, [0] * 900)
    totals = canvases.sum((1, 2, 3), dtype=int)
    assert set(totals.tolist()) == {255, 400}
    assert 50 < (totals == 255).sum() < 150  # one in nine


def test_the_second_digit_is_any_image() -> None:
    images = np.array([1, 4, 16, 64], dtype=np.uint8).reshape(4, 1, 1, 1)
    seconds = made(TwoDigits(size=50), images, [2] * 800).sum((1, 2, 3), dtype=int) - 16
    values, counts = np.unique(seconds, return_counts=True)
    assert values.tolist() == [1, 4, 16, 64]
    assert_uniform(counts)


def test_distractors_are_pieces_of_all_other_images_whatever_their_class() -> None:
    values = np.array([1, 6, 36], dtype=np.uint8)
    images = values.reshape(3, 1, 1, 1).repeat(2, axis=2).repeat(2, axis=3)
    labels = np.array([5, 5, 5])
    indices = np.arange(900) % 3
    view = Cluttered(size=30, distractors=1, distractor_size=1)
    canvases, of = view.make(images, labels, indices, chance())
    assert of is not None
    assert set(of.tolist()) == {5}
    pieces = canvases.sum((1, 2, 3), dtype=int) - 4 * values[indices].astype(int)
    pairs, counts = np.unique(np.stack([values[indices], pieces]), axis=1, return_counts=True)
    assert pairs.T.tolist() == [[a, b] for a in (1, 6, 36) for b in (1, 6, 36) if a != b]
    assert_uniform(counts)


def test_pieces_come_from_every_place_of_the_other_image() -> None:
    images = np.zeros((2, 1, 4, 5), dtype=np.uint8)
    images[1, 0] = np.arange(1, 21).reshape(4, 5)
    view = Cluttered(size=8, distractors=1, distractor_size=2)
    canvases = made(view, images, [0] * 1200)
    corners = np.where(canvases > 0, canvases, 255).min((1, 2, 3))  # the piece's first pixel
    counts = np.bincount(corners, minlength=21)[1:].reshape(4, 5)
    assert_uniform(counts[:3, :4])
    assert counts[:3, :4].sum() == 1200


def test_many_distractors_are_all_there() -> None:
    images = np.ones((2, 1, 8, 8), dtype=np.uint8)
    canvases = made(Cluttered(size=100), images, [0, 1] * 10)
    assert (canvases.sum((1, 2, 3), dtype=int) == 64 + 8 * 64).all()
    assert canvases.shape == (20, 1, 100, 100)


def test_labels_are_those_of_the_images_asked_for() -> None:
    images, labels = images_of(6), np.array([3, 1, 4, 1, 5, 9])
    indices = np.array([5, 0, 2])
    for view in (Cluttered(12, 3, 2), RandomCrop(3, 4), RandomCrop(3, 4, central=True)):
        _, of = view.make(images, labels, indices, chance())
        assert of is not None
        assert of.tolist() == [9, 3, 4]
        assert view.make(images, None, indices, chance())[1] is None
    assert TwoDigits(12).make(images, labels, indices, chance())[1] is None


def test_crops_come_from_everywhere_with_the_same_chance() -> None:
    images = np.zeros((1, 3, 64, 64), dtype=np.uint8)
    images[0, 0], images[0, 1] = np.arange(64)[:, None], np.arange(64)
    crops = made(RandomCrop(), images, [0] * 121 * 30)
    assert crops.shape == (121 * 30, 3, 54, 54)
    places = np.zeros((11, 11), dtype=int)
    np.add.at(places, (crops[:, 0, 0, 0], crops[:, 1, 0, 0]), 1)
    assert_uniform(places)
    np.testing.assert_array_equal(crops[:, 0, -1, 0], crops[:, 0, 0, 0] + 53)


def test_validation_sees_the_middle() -> None:
    images = images_of(4, (64, 32), 3)
    view = RandomCrop().evaluation_view()
    assert isinstance(view, View)
    np.testing.assert_array_equal(made(view, images, [2, 0]), images[[2, 0], :, 5:59, 2:29])
    assert RandomCrop().image_shape((3, 64, 32)) == (3, 54, 27)
    assert made(RandomCrop(), images, [1]).shape == (1, 3, 54, 27)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_views_depend_on_chance_and_index_alone(view: View) -> None:
    images = images_of(9)
    before = images.copy()
    images.flags.writeable = False
    np.testing.assert_array_equal(made(view, images, [1, 2, 8]), made(view, images, [1, 2, 8]))
    assert not np.array_equal(made(view, images, [1] * 8), made(view, images, [1] * 8, seed=1))
    assert not np.array_equal(made(view, images, [1] * 8), made(view, images, [2] * 8))
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [1, 7])
def test_shapes_are_as_promised(view: View, channels: int, batch: int) -> None:
    images = images_of(9, channels=channels)
    canvases = made(view, images, [3] * batch)
    assert canvases.shape == (batch, *view.image_shape((channels, 5, 4)))
    assert canvases.dtype == np.uint8
    assert canvases.flags.c_contiguous


@pytest.mark.parametrize("view", VIEWS, ids=repr)
@pytest.mark.parametrize("value", [0, 255])
def test_images_of_one_colour_stay_black_or_white(view: View, value: int) -> None:
    images = np.full((3, 1, 5, 4), value, dtype=np.uint8)
    assert set(np.unique(made(view, images, [0, 1, 2])).tolist()) <= {0, value}


def test_an_image_as_large_as_the_canvas_has_one_place() -> None:
    images = images_of(2, (6, 6))
    alone = made(Cluttered(size=6, distractors=0), images, [1, 1])
    np.testing.assert_array_equal(alone, images[[1, 1]])
    np.testing.assert_array_equal(made(RandomCrop(1, 1), images, [1]), images[[1]])


@pytest.mark.parametrize(
    ("view", "shape", "message"),
    [
        (TwoDigits(), (1, 61, 28), r"at most 60x60 .* canvas of two digits, got 61x28; .*--data"),
        (Cluttered(), (1, 28, 101), "at most 100x100 .* canvas of cluttered digits, got 28x101"),
        (Cluttered(), (1, 7, 28), r"at least 8x8 to take distractors from, got 7x28; .*larger"),
        (RandomCrop(), (3, 1, 64), "54/64 is a pixel at least, got 1x64"),
    ],
)
def test_images_that_do_not_fit_are_refused(view: View, shape, message: str) -> None:
    with pytest.raises(DataError, match=message):
        view.image_shape(shape)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TwoDigits, {"size": 0}, "size to be a whole number of at least 1, got 0"),
        (Cluttered, {"size": 0}, "size to be a whole number of at least 1, got 0"),
        (Cluttered, {"distractors": -1}, "distractors to be a whole number of at least 0, got -1"),
        (
            Cluttered,
            {"distractor_size": 0},
            "distractor_size to be a whole number of at least 1, got 0",
        ),
        (RandomCrop, {"size": 65}, r"size of 1 to 64 \(of\), got 65"),
    ],
)
def test_options_that_make_no_sense_are_refused(kind, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_a_single_image_has_no_other_to_take_distractors_from() -> None:
    with pytest.raises(DataError, match=r"at least 2 images in each split, .* got 1"):
        made(Cluttered(size=9, distractor_size=2), images_of(1), [0])
    assert made(TwoDigits(9), images_of(1), [0]).any()


def test_fixed_images_are_the_same_on_every_machine() -> None:
    """Another digest means that bounds on the test images no longer compare with earlier ones."""
    stored = (np.arange(1003 * 9) % 251).astype(np.uint8).reshape(1003, 1, 3, 3)
    digests = []
    for view in (TwoDigits(8), Cluttered(8, 2, 2)):
        fixed = image_set(stored, view, "test").evaluation_set()
        assert fixed.view is None
        assert fixed.count == 1003
        assert fixed.fingerprint == hashlib.sha256(fixed.images.tobytes()).hexdigest()
        digests.append(fixed.fingerprint[:16])
    assert digests == ["e65088426a51fcc5", "d53e01ef4108b976"]


def test_fixed_images_are_made_block_by_block_and_differ_between_splits() -> None:
    images = images_of(2100)
    train, test = (image_set(images, TwoDigits(12), split) for split in ("train", "test"))
    blocks = [block for block, _ in test.blocks()]
    assert [len(block) for block in blocks] == [1000, 1000, 100]
    random = generator(0, VIEW_EVALUATION, 2, 1)
    expected, _ = TwoDigits(12).make(images, None, np.arange(1000, 2000), random)
    np.testing.assert_array_equal(test.evaluation_set().images[1000:2000], expected)
    assert not np.array_equal(train.evaluation_set().images, test.evaluation_set().images)
    assert test.evaluation_set().image_shape == test.image_shape == (1, 12, 12)
    assert test.evaluation_set().source.startswith(
        "made by a test; two images of 5x4 at random places"
    )


def test_labels_of_fixed_images() -> None:
    images = images_of(12)
    clutter = image_set(images, Cluttered(12, 1, 2)).evaluation_set()
    assert clutter.labels is not None
    assert clutter.labels.tolist() == [*range(10), 0, 1]
    assert image_set(images, TwoDigits(12)).evaluation_set().labels is None


def test_plain_images_are_seen_as_they_are() -> None:
    plain = image_set(images_of(30), None)
    assert plain.evaluation_set() is plain
    indices = np.array([7, 7, 0])
    seen, labels = plain.batch(indices, chance())
    np.testing.assert_array_equal(seen, plain.images[indices])
    assert labels is not None
    assert labels.tolist() == [7, 7, 0]
    np.testing.assert_allclose(plain.mean(), plain.images.mean(0) / 255, rtol=1e-12)
    np.testing.assert_array_equal(np.concatenate([b for b, _ in plain.blocks()]), plain.images)


def test_the_mean_of_few_images_is_that_of_many_made_ones() -> None:
    images = np.full((2, 1, 1, 1), 100, dtype=np.uint8)
    mean = image_set(images, TwoDigits(4)).mean()
    np.testing.assert_allclose(mean, 2 / 16 * 100 / 255, rtol=0.15)


def test_the_nearest_image_is_looked_for_among_those_that_are_seen() -> None:
    training = image_set(images_of(1200), TwoDigits(12))
    seen = torch.from_numpy(training.evaluation_set().images)
    wanted = torch.tensor([3, 1100, 999])
    found, numbers, distances = nearest_in_training(seen[wanted] / 255, training)
    assert torch.equal(numbers, wanted)
    assert torch.equal(found, seen[wanted])
    assert distances.max() < 1e-6


@pytest.fixture
def shades(tmp_path: Path) -> DataConfig:
    """Images of 3x3 whose value tells their split: 10 in train, 20 and 30 in the others."""
    for value, split in ((10, "train"), (20, "validation"), (30, "test")):
        folder = tmp_path / "shades" / split
        folder.mkdir(parents=True)
        for number in range(5):
            Pillow.new("L", (3, 3), value).save(folder / f"{number}.png")
    return DataConfig("two-digits", str(tmp_path / "shades"), cache_dir=str(tmp_path / "cache"))


def test_splits_are_made_of_their_own_images_alone(shades: DataConfig) -> None:
    splits = load_splits(shades, progress=False)
    seen = {
        10: splits.train.batch(np.arange(100) % 5, chance())[0],
        20: splits.validation.images,
        30: splits.test.images,
    }
    for value, images in seen.items():
        assert images.shape[1:] == (1, 60, 60)
        assert set(np.unique(images).tolist()) <= {0, value, 2 * value}
        assert images.max() >= value
    assert isinstance(splits.train.view, TwoDigits)
    assert splits.validation.view is splits.test.view is None
    clutter = load_splits(
        dataclasses.replace(shades, name="cluttered-mnist", size=(9,), fit="stretch"),
        progress=False,
    )
    assert set(np.unique(clutter.test.images).tolist()) <= set(range(0, 300, 30)) | {255}


TWO = dataclasses.replace(
    TINY,
    model=DRAWConfig(
        rows=9, columns=9, glimpses=3, hidden_size=8, latent_size=4, read_size=2, write_size=3
    ),
)
TRAINING = image_set(images_of(10, (6, 5)), TwoDigits(9))
VALIDATION = image_set(images_of(7, (6, 5)), TwoDigits(9), "validation")


def fresh(run: Path, config: Config = TWO, training: ImageSet = TRAINING) -> Trainer:
    return start(config, run, training, VALIDATION)


def test_training_sees_new_images_in_every_epoch_and_the_same_at_a_step(tmp_path: Path) -> None:
    config = with_train(TWO, batch_size=10)
    trainer = fresh(tmp_path / "run", config)
    epochs = []
    for step in range(2):
        trainer.step = step
        order = np.argsort(batch_indices(0, step, 10, 10))
        epochs.append(batch_of(trainer)[0][order])
    assert not any(torch.equal(*pair) for pair in zip(*epochs, strict=True))
    trainer.step = 0
    again = batch_of(trainer)[0]
    assert torch.equal(again, batch_of(fresh(tmp_path / "again", config))[0])
    other = fresh(tmp_path / "other", with_train(config, seed=1))
    assert not torch.equal(again, batch_of(other)[0])


def test_processes_share_the_batch_that_one_would_see() -> None:
    needs = task_for(TWO).needs(TRAINING)
    whole, *shares = (
        feed_at(3, TRAINING, needs, TWO.train, own)
        for own in (slice(0, 4), slice(0, 2), slice(2, 4))
    )
    assert torch.equal(whole.images, torch.cat([share.images for share in shares]))
    assert torch.equal(whole.noise, torch.cat([share.noise for share in shares], 1))
    assert whole.labels is None  # this model is not told them


def test_the_canvas_starts_at_the_mean_of_what_is_seen(tmp_path: Path) -> None:
    canvas_0 = fresh(tmp_path / "run").bare_model.canvas_0.detach().double().sigmoid()
    assert canvas_0.shape == (1, 9, 9)
    np.testing.assert_allclose(canvas_0, TRAINING.mean().clip(0.01, 0.99), rtol=1e-5)


def test_interrupted_and_resumed_ends_with_the_same_bits(tmp_path: Path) -> None:
    straight, run = fresh(tmp_path / "straight"), tmp_path / "interrupted"
    straight.fit()
    trainer = fresh(run)
    one_step = trainer._one_step

    def stopping() -> bool:
        trainer.stop_asked = trainer.step + 1 >= 5
        return one_step()

    trainer._one_step = stopping  # type: ignore[method-assign]
    with pytest.raises(Interruption):
        trainer.fit()
    resumed = resume(resumed_config(run), run, TRAINING, VALIDATION)
    resumed.fit()
    for name, value in straight.bare_model.state_dict().items():
        assert torch.equal(value, resumed.bare_model.state_dict()[name]), name
    assert straight.selection.best == resumed.selection.best


def test_a_data_set_smaller_than_a_batch(tmp_path: Path) -> None:
    few = image_set(images_of(3, (6, 5)), TwoDigits(9))
    trainer = fresh(tmp_path / "run", training=few)
    images = batch_of(trainer).images
    assert images.shape == (4, 1, 9, 9)
    assert len({image.numpy().tobytes() for image in images}) == 4


def test_a_model_of_another_shape_is_told_what_the_view_makes(tmp_path: Path) -> None:
    with pytest.raises(DrawError) as error:
        fresh(tmp_path / "run", TINY)
    for part in ("6x5x1 (the model's), got 9x9x1", "two images of 6x5", "--model.rows 9"):
        assert part in str(error.value)
