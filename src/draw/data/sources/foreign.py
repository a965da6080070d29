"""Formats that are not read: their names, and lines that convert them to one that is."""

import re
from typing import NamedTuple

from draw.data.sources.source import Place
from draw.data.sources.tree import kinds
from draw.errors import DataError
from draw.terminal import one_line

PICKLE = "a pickle, which could run any program when it is opened, and is not read"
_SAVE = '  np.savez("pictures.npz", x_train=x, y_train=y)   # x: n x rows x columns (x 3), 0 to 255'


class Foreign(NamedTuple):
    """A format that is not read."""

    name: re.Pattern[str]
    """What its files are called."""
    what: str
    """What it is, after "is"."""
    remedy: str
    """How to have the pictures read nevertheless."""


def _lines(*lines: str) -> str:
    """Lines of Python that write an .npz."""
    program = "\n".join(f"  {line}" for line in ("import numpy as np", *lines))
    return f"convert it where you trust it:\n{program}\n{_SAVE}\nand pass --data.path pictures.npz"


FOREIGN = (
    Foreign(
        re.compile(r"data_batch_\d+|test_batch|batches\.meta|cifar-10-python\.tar\.gz"),
        f"CIFAR-10's Python version, {PICKLE}",
        "fetch its binary version (cifar-10-binary.tar.gz, on the same page) and pass that, or "
        "--data.path uoft-cs/cifar10",
    ),
    Foreign(
        re.compile(r"train|test|meta|cifar-100-python\.tar\.gz"),
        f"CIFAR-100's Python version, or another that has no suffix: {PICKLE}",
        "fetch its binary version (cifar-100-binary.tar.gz, on the same page) and pass that, or "
        "--data.path uoft-cs/cifar100",
    ),
    Foreign(
        re.compile(r".*\.(pkl|pickle|p|joblib)(\.gz)?"),
        PICKLE,
        _lines("import pickle", 'x, y = pickle.load(open("FILE", "rb"))   # as its author says'),
    ),
    Foreign(
        re.compile(r".*\.(pt|pth|ckpt|bin\.gz)"),
        "a file of PyTorch's, whose pickles could run any program",
        _lines("import torch", 'x, y = torch.load("FILE", weights_only=True)',
               "x, y = x.numpy(), y.numpy()"),
    ),
    Foreign(
        re.compile(r".*\.(h5|hdf5|he5|hdf)"),
        "HDF5, of which only digitStruct.mat of SVHN is read",
        _lines("import h5py", 'with h5py.File("FILE") as file:',
               '    print(list(file)); x, y = file["images"][:], file["labels"][:]'),
    ),
    Foreign(
        re.compile(r".*\.mat"),
        "a file of MATLAB's, of which SVHN's (train_32x32.mat, digitStruct.mat) are read",
        _lines("import scipy.io", 'values = scipy.io.loadmat("FILE"); print(values.keys())',
               'x, y = values["images"], values["labels"]'),
    ),
    Foreign(
        re.compile(r".*\.(tfrecords?|tfrec)(-\d+-of-\d+)?|.*\.tfrecord-\d+-of-\d+"),
        "TensorFlow's TFRecord",
        _lines("import tensorflow_datasets as tfds", 'both = tfds.load("NAME", split="train", '
               "batch_size=-1, as_supervised=True)", "x, y = tfds.as_numpy(both)"),
    ),
    Foreign(
        re.compile(r".*\.(mdb|lmdb)"),
        "LMDB",
        "write its pictures into a folder where you trust it:\n  import lmdb, pathlib\n"
        '  with lmdb.open("FOLDER", readonly=True).begin() as reading:\n'
        "      for number, (_, value) in enumerate(reading.cursor()):\n"
        '          pathlib.Path(f"pictures/{number:07}.jpg").write_bytes(value)\n'
        "and pass --data.path pictures",
    ),
    Foreign(
        re.compile(r".*\.arff(\.gz)?"),
        "ARFF, as of OpenML",
        _lines("from sklearn.datasets import fetch_openml", 'x, y = fetch_openml("mnist_784", '
               "version=1, as_frame=False, return_X_y=True)", "x = x.reshape(-1, 28, 28)"),
    ),
    Foreign(
        re.compile(r".*\.(rar|7z|tar\.zst|zst|lz4)"),
        "an archive of a kind that is not unpacked",
        "unpack it, and pass its folder",
    ),
    Foreign(
        re.compile(r".*\.(mp4|mov|avi|mkv|webm)"),
        "a video",
        "write its frames as pictures: ffmpeg -i FILE frames/%06d.png, and pass --data.path frames",
    ),
    Foreign(
        re.compile(r".*\.(svg|pdf|eps|ai)"),
        "a drawing of lines, not of pixels",
        "write it as PNG with the program that made it",
    ),
    Foreign(
        re.compile(r".*\.(dcm|nii|nii\.gz|nrrd)"),
        "a medical image of more than 8 bits",
        _lines("# which grey values are black and white, only you know",
               "x = np.clip((x - black) / (white - black), 0, 1)"),
    ),
    Foreign(
        re.compile(r".*\.(beton|msgpack|feather|arrow|orc|zarr|jsonl|xml)"),
        "no format that pictures are read from",
        "write pictures (PNG), parquet by datasets (.to_parquet), or an array (np.savez)",
    ),
)  # fmt: skip
"""By the names of files, in either case; the first that fits says it."""

READ = "pictures, parquet, IDX (-ubyte), .amat, .npz and .npy, CSV with label, pixel0, pixel1, ..."


def foreign_error(place: Place) -> DataError:
    """Make the error for a place with no pictures in a format that is read."""
    found = f"got the file {one_line(place.path)}"
    if place.is_folder:
        found = f"found {kinds(place.files)}"
    for foreign in FOREIGN:
        for file in place.files:
            if foreign.name.fullmatch(file.path.name.lower()):
                named = f"; {one_line(file.path)}" if place.is_folder else ", which"
                return DataError(
                    f"expected pictures in {place.path}, {found}{named} is {foreign.what}: "
                    f"{foreign.remedy}"
                )
    remedy = "pass a folder" if place.is_folder else "pass the folder it is in, or another path"
    return DataError(
        f"expected pictures in {place.folder}, {found}; {remedy} with some as --data.path, in one "
        f"of these forms: {READ}"
    )
