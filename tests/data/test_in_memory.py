"""Images that a program holds: every form comes to the same pixels, nothing is scaled unasked."""

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from draw.data.in_memory import image_set, split_arrays
from draw.errors import DataError, DrawError
from running import image_set as stored_set

COLOUR = np.random.default_rng(0).integers(0, 256, (12, 3, 6, 5), dtype=np.uint8)
GREY = COLOUR[:, :1]
LABELS = np.arange(12) % 4


class Pairs(torch.utils.data.Dataset):
    def __init__(self, pictures, labels=LABELS):
        self.pictures, self.labels = pictures, labels

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int):
        return self.pictures[index], int(self.labels[index])


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield COLOUR[0], 1


def table(mode: str) -> datasets.Dataset:
    pictures = [Image.fromarray(one.transpose(1, 2, 0)).convert(mode) for one in COLOUR]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(4)})
    return datasets.Dataset.from_dict({"image": pictures, "label": LABELS}, features=features)


FORMS = {
    "channels first": COLOUR,
    "channels last": COLOUR.transpose(0, 2, 3, 1),
    "floats": COLOUR.astype(np.float32) / 255,
    "doubles": COLOUR / 255,
    "tensor": torch.from_numpy(COLOUR),
    "tensor of floats": torch.from_numpy(COLOUR).float() / 255,
    "list of tensors": [torch.from_numpy(one).float() / 255 for one in COLOUR],
    "pictures": [Image.fromarray(one.transpose(1, 2, 0)) for one in COLOUR],
    "torch": Pairs(torch.from_numpy(COLOUR)),
    "datasets": table("RGB"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_comes_to_the_same_pixels(form: str, caplog: pytest.LogCaptureFixture) -> None:
    found = image_set(FORMS[form])
    np.testing.assert_array_equal(found.images, COLOUR)
    assert caplog.text == ""
    if form in ("torch", "datasets"):
        assert found.labels is not None
        np.testing.assert_array_equal(found.labels, LABELS)


@pytest.mark.parametrize(
    "grey", [GREY, GREY[:, 0], GREY.transpose(0, 2, 3, 1), [Image.fromarray(x[0]) for x in GREY]]
)
def test_grey_images_have_one_channel(grey: object) -> None:
    np.testing.assert_array_equal(image_set(grey).images, GREY)


def test_zero_and_one_are_black_and_white_where_they_are_floats_or_truths() -> None:
    black_or_white = GREY > 127
    half = torch.from_numpy(black_or_white).bfloat16()
    for form in (black_or_white, black_or_white.astype(np.float32), half):
        found = image_set(form)
        assert found.binary
        np.testing.assert_array_equal(found.images, 255 * black_or_white)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (GREY.astype(np.float32), r"in \[0, 1\], got numbers from 0 to 25\d; divide 8-bit"),
        (GREY / 127.5 - 1, r"in \[0, 1\], got numbers from -1 to"),
        (GREY.astype(np.int64), "uint8.*got int64; convert them, nothing is scaled unasked"),
        ((GREY > 127).astype(np.uint8), "from 0 to 255, got 0 and 1 alone; pass 255"),
        (np.full((2, 6, 5), np.nan), "got numbers from nan to nan"),
        (COLOUR[0].transpose(1, 2, 0), r"got \[6, 5, 3\]; of one image alone, pass x\[None\]"),
        (np.zeros((2, 3, 5, 3), np.uint8), "of which either may be the channels"),
        (np.zeros((2, 4, 5, 2), np.uint8), "of which none are channels"),
        ({"x": 1}, "an array or a tensor.* got a dict"),
        ([np.zeros((6, 5), np.uint8), np.zeros((5, 6), np.uint8)], "one shape, got 1x6x5, 1x5x6"),
        ([], "at least one image, got none"),
        ((COLOUR, LABELS), r"picture 0 as one image.*got the shape \[12, 3, 6, 5\]; several are"),
        (Endless(), r"with a length.*got a Endless; pass list\(x\)"),
        ([b"bytes"], "picture 0 as a picture of Pillow's.*got a bytes"),
    ],
)
def test_what_is_not_understood_is_refused(images: object, says: str) -> None:
    with pytest.raises(DrawError, match=says):
        image_set(images)


@pytest.mark.parametrize("labels", [LABELS[:5], LABELS / 2, [["a"] * 12], list("abcdefghijkl")])
def test_labels_are_a_whole_number_each(labels: object) -> None:
    with pytest.raises(DataError, match="labels, a whole number for each of 12 images"):
        image_set(GREY, labels)


def test_labels_beside_pictures_are_whole_numbers() -> None:
    found = image_set([(GREY[0], np.int64(2)), (GREY[1], torch.tensor(1))])
    assert found.labels is not None
    assert found.labels.tolist() == [2, 1]
    for label in (1.5, "1"):
        with pytest.raises(
            DataError, match=f"whole number as the label of picture 1, got {label!r}"
        ):
            image_set([(GREY[0], 2), (GREY[1], label)])


def test_rounding_to_eight_bits_is_told(caplog: pytest.LogCaptureFixture) -> None:
    image_set(np.full((1, 6, 5), 0.5))
    assert "rounded by up to 0.0020, to multiples of 1/255" in caplog.text


def test_a_set_stays_one() -> None:
    images = stored_set(4)
    found = image_set(images, [3, 1, 0, 2])
    assert found.source == images.source
    np.testing.assert_array_equal(found.images, images.images)
    assert found.labels is not None
    assert found.labels.tolist() == [3, 1, 0, 2]


def test_splits_have_their_names() -> None:
    splits = {"train": COLOUR, "test": COLOUR[:2]}
    arrays = split_arrays(splits, {"train": LABELS})
    assert {*arrays} == {"x_train", "y_train", "x_test"}
    assert arrays["x_test"].shape == (2, 6, 5, 3)
    with pytest.raises(DataError, match="labels for the splits train, test, got validation"):
        split_arrays(splits, {"validation": LABELS})
