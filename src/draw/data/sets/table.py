"""The data sets known by name. To add one, add an entry to `KNOWN_SETS`."""

import os
from dataclasses import dataclass

from draw.config.data import Fit, Mode
from draw.data.sets.official import PublishedFile
from draw.data.store.splits import LARGEST_HOLDOUT
from draw.data.views.cluttered import Cluttered
from draw.data.views.crops import RandomCrop
from draw.data.views.two_digits import TwoDigits
from draw.data.views.view import View
from draw.errors import DataError, did_you_mean


@dataclass(frozen=True)
class KnownSet:
    """A data set, and the source of its images when `--data.path` is not given."""

    description: str
    licence: str
    hub: str | None = None
    """Name of the set on the Hugging Face Hub, if there is one that can be relied on."""
    sizes: tuple[int, int, int] | None = None
    """Number of images in train, validation and test as this package splits them."""
    image_shape: tuple[int, int, int] | None = None
    """Shape of an image as a model sees it by default: channels, rows, columns."""
    size: tuple[int, int] | None = None
    """Rows and columns to bring the source's pictures to, where --data.size is not given."""
    mode: Mode | None = None
    """Mode to turn the source's pictures into, where --data.mode is not given."""
    fit: Fit | None = None
    """Way to bring the source's pictures to their size, where --data.fit is not given."""
    boxes: bool = False
    """Whether pictures are cut out round their digits where these have boxes (`svhn`); the defaults
    above then hold for a path too."""
    view: View | None = None
    """View that makes the images a model sees; None for the stored images."""
    folder: str | None = None
    """Folder of the source that holds the set, where there are others beside."""
    splits: tuple[str, ...] = ()
    """Names of the source's splits, where these are not train, validation and test."""
    held_out: int = LARGEST_HOLDOUT
    """Most images that are held out of train for validation."""
    invert: bool = False
    """Whether the source's pictures are dark strokes on white, to be turned into white on black."""
    published_files: tuple[PublishedFile, ...] = ()
    """Text files of the splits (`text_sum`) that its authors publish."""
    grey: str | None = None
    """Name of the set of which this is the binarized form: every pixel is 0 or 255."""
    remedy: str = ""
    """Advice for whoever asks for the set without a path, where it has no source of its own."""


LAROCHELLE = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist"

KNOWN_SETS: dict[str, KnownSet] = {
    "mnist": KnownSet(
        "handwritten digits, grey; binarized anew at each use unless told otherwise",
        "CC BY-SA 3.0",
        hub="ylecun/mnist",
        sizes=(50_000, 10_000, 10_000),
        image_shape=(1, 28, 28),
    ),
    "binarized_mnist": KnownSet(
        "MNIST binarized once and for all, the set of the paper's Table 2",
        "CC BY-SA 3.0",
        grey="mnist",
        sizes=(50_000, 10_000, 10_000),
        image_shape=(1, 28, 28),
        published_files=(
            PublishedFile(
                "train",
                f"{LAROCHELLE}/binarized_mnist_train.amat",
                78_400_000,
                "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
            ),
            PublishedFile(
                "validation",
                f"{LAROCHELLE}/binarized_mnist_valid.amat",
                15_680_000,
                "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
            ),
            PublishedFile(
                "test",
                f"{LAROCHELLE}/binarized_mnist_test.amat",
                15_680_000,
                "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
            ),
        ),
        remedy="no dependable Hub source has it: `draw data prepare binarized_mnist` fetches its "
        "published files once (110 MB); or pass --data.path FOLDER with the three .amat files, or "
        "with parquet files of them (train, validation and test), or --data.name mnist, which is "
        "binarized anew at each use",
    ),
    "digits": KnownSet(
        "scikit-learn's handwritten digits, enlarged to 28x28; needs no network",
        "BSD 3-Clause (scikit-learn), CC BY 4.0 (UCI)",
        sizes=(1_439, 179, 179),
        image_shape=(1, 28, 28),
        fit="pad",
    ),
    "fashion-mnist": KnownSet(
        "pictures of clothes, grey",
        "MIT",
        hub="zalando-datasets/fashion_mnist",
        sizes=(50_000, 10_000, 10_000),
        image_shape=(1, 28, 28),
    ),
    "omniglot": KnownSet(
        "characters of 50 alphabets; the Hub's 105x105, black on white, become 28x28, white on "
        "black",
        "MIT",
        hub="GATE-engine/omniglot",
        sizes=(25_968, 3_246, 3_246),
        image_shape=(1, 28, 28),
        size=(28, 28),
        mode="grey",
        fit="stretch",
        invert=True,
    ),
    "cifar10": KnownSet(
        "small colour photographs of ten kinds of things",
        "none stated",
        hub="uoft-cs/cifar10",
        sizes=(45_000, 5_000, 10_000),
        image_shape=(3, 32, 32),
    ),
    "two-digits": KnownSet(
        "two MNIST digits at random places of a black 60x60, made anew for every batch",
        "CC BY-SA 3.0",
        hub="ylecun/mnist",
        sizes=(50_000, 10_000, 10_000),
        image_shape=(1, 60, 60),
        view=TwoDigits(),
    ),
    "cluttered-mnist": KnownSet(
        "an MNIST digit and pieces of others at random places of a black 100x100, made anew for "
        "every batch",
        "CC BY-SA 3.0",
        hub="ylecun/mnist",
        sizes=(50_000, 10_000, 10_000),
        image_shape=(1, 100, 100),
        view=Cluttered(),
    ),
    "svhn": KnownSet(
        "house numbers in colour, cut out round their boxes to 64x64, of which 54x54 is seen",
        "non-commercial use",
        hub="ufldl-stanford/svhn",
        sizes=(231_054, 4_701, 13_068),
        image_shape=(3, 54, 54),
        size=(64, 64),
        mode="colour",
        fit="stretch",
        boxes=True,
        view=RandomCrop(size=54, of=64),
        folder="full_numbers",
        splits=("train", "extra", "validation", "test"),
        held_out=4_701,
    ),
    "chars74k": KnownSet(
        "letters and digits photographed in streets, in colour (de Campos et al. 2009, English)",
        "research use",
        image_shape=(3, 48, 48),
        remedy="no dependable Hub source has it: pass --data.path FOLDER with its pictures",
    ),
    "images": KnownSet(
        "your own: a folder of pictures, a folder of parquet files, or a Hub name",
        "yours",
        remedy="pass --data.path with your folder or file of pictures, or a Hub name",
    ),
}


def known_set(name: str) -> KnownSet:
    """Look up the entry of `KNOWN_SETS`, or raise a `DataError` that lists them."""
    if name not in KNOWN_SETS:
        if name and os.path.exists(name):
            raise DataError(
                f"expected data.name to be the name of a data set that draw data list has, got "
                f"{name}, which is your own: pass it as --data.path"
            )
        raise DataError(
            f"expected data.name to be one of {', '.join(KNOWN_SETS)}, got {name!r}"
            f"{did_you_mean(name, KNOWN_SETS)}; for your own pictures pass --data.name images "
            "--data.path FOLDER"
        )
    return KNOWN_SETS[name]
