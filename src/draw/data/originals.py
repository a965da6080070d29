"""Which grey images a binarized data set was drawn from.

A binarized set is one draw of some grey images: a pixel is 1 with its grey value as probability.
Once the grey ones are known, training images can be drawn anew at each use, so that the noise of
one draw is not learnt by heart, while validation and test images stay as they are. Published bounds
are of models that saw that one draw alone, so that such a model's compare with none of them.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from draw.data.images import ImageSet, Splits
from draw.errors import DataError
from draw.progress import progress as shown

CANDIDATES = 20
"""Grey images among which each binary one finds its own, since the likeliest may be another's."""
FLOOR = 1e-4
"""Least probability of a pixel's value. # ours: with 0, one wrong pixel would hide all others."""
_AT_ONCE = 500

Images = UInt8[np.ndarray, "n channels rows columns"]
MoreImages = UInt8[np.ndarray, "m channels rows columns"]


def originals(
    binary: Images,
    grey: MoreImages,
    *,
    progress: bool = True,
) -> Int64[np.ndarray, " n"]:
    """Find the grey image that each binary image was drawn from, no grey one twice.

    It is the one-to-one assignment j of the largest likelihood, the sum over images i of

        log p(b_i | g_j(i)) = sum over pixels of b log g + (1 - b) log (1 - g),

    among the `CANDIDATES` likeliest of each image, with g held within [`FLOOR`, 1 - `FLOOR`].

    Args:
        binary: n images of values 0 and 255.
        grey: m >= n images, each pixel 255 times the probability of a 1.
        progress: whether to show a bar.

    Returns:
        Number of the grey image for each binary one, [n].

    Raises:
        DataError: if the images are not of one size, there are fewer grey ones, or a binary image
            is no draw of what is found for it: a pixel is 1 where that is 0, or 0 where it is 255.
    """
    if binary.shape[1:] != grey.shape[1:] or len(binary) > len(grey):
        raise DataError(
            f"expected as many grey images as binary ones or more, of one size, got "
            f"{list(grey.shape)} and {list(binary.shape)}"
        )
    found = _assign(*_candidates(binary, grey, progress), len(grey))
    wrong = len(binary) if found is None else _not_draws(binary, grey[found])
    if found is None or wrong:
        raise DataError(
            "expected every binary image to be a draw of a grey one of its own, with no pixel 1 "
            f"where that is 0 and none 0 where it is 255; of {len(binary):,} images "
            f"{'many' if found is None else f'{wrong:,}'} are not. Give all the grey images that "
            "the binary ones were made of, as they were: not turned, inverted or made smaller"
        )
    return found


def with_grey_training(binary: Splits, grey: Splits, *, progress: bool = True) -> Splits:
    """Put the grey originals in the place of a binarized set's training images.

    Originals of test images are looked for among the grey test images, those of training and
    validation images among the others, so that none that stands for a test image is trained on,
    be it a twin. Validation and test images stay as they are. All get the labels of their
    originals, if these have any.

    Args:
        binary: a set whose pixels are 0 or 1, such as the statically binarized MNIST.
        grey: the set that it was drawn from, such as MNIST.
        progress: whether to show a bar.

    Raises:
        DataError: if the first is not binary or the second is, or as `originals` does.
    """
    sets, sources = list(vars(binary).values()), list(vars(grey).values())
    if not all(one.binary for one in sets) or all(one.binary for one in sources):
        raise DataError(
            "expected a set whose pixels are 0 or 1, and then the grey one that it was drawn from, "
            f"got {_tone(sets)} images from {sets[0].source} and {_tone(sources)} ones from "
            f"{sources[0].source}"
        )
    pool = np.concatenate([grey.train.images, grey.validation.images])
    both = np.concatenate([binary.train.images, binary.validation.images])
    found = originals(both, pool, progress=progress)
    of_test = originals(binary.test.images, grey.test.images, progress=progress)
    of_train, of_validation = np.split(found, [binary.train.count])
    train = replace(binary.train, images=pool[of_train], binary=False)
    made = Splits(train, binary.validation, binary.test)
    known = [one.labels for one in sources if one.labels is not None]
    if len(known) < len(sources):
        return made
    labels, of_all = np.concatenate(known), [of_train, of_validation, len(pool) + of_test]
    return Splits(
        *(
            replace(one, labels=labels[numbers], classes=grey.train.classes)
            for one, numbers in zip(vars(made).values(), of_all, strict=True)
        )
    )


def _tone(sets: list[ImageSet]) -> str:
    return "binary" if all(one.binary for one in sets) else "grey"


def _candidates(
    binary: Images, grey: MoreImages, progress: bool
) -> tuple[Int64[np.ndarray, "n candidates"], np.ndarray]:
    """Likeliest grey images of each binary one, and log p(b | g) of each, in nats."""
    g = torch.tensor(grey.reshape(len(grey), -1), dtype=torch.float32) / 255
    g.clamp_(FLOOR, 1 - FLOOR)
    no = (1 - g).log_()
    weights, constant = (g.log_() - no).T, no.sum(1)
    numbers, logs = [], []
    with shown("search", len(binary), enabled=progress, brief=True) as update:
        for start in range(0, len(binary), _AT_ONCE):
            b = torch.tensor(binary[start : start + _AT_ONCE].reshape(-1, weights.shape[0]) // 255)
            best = (b.float() @ weights + constant).topk(min(CANDIDATES, len(grey)))
            numbers.append(best.indices)
            logs.append(best.values)
            update(start + len(b), "")
    return torch.cat(numbers).numpy(), torch.cat(logs).numpy()


def _assign(
    numbers: Int64[np.ndarray, "n candidates"], logs: np.ndarray, count: int
) -> Int64[np.ndarray, " n"] | None:
    """The likeliest one-to-one assignment among the candidates; None if there is none."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    n, k = numbers.shape
    rows = np.arange(0, n * k + 1, k)
    costs = csr_array((1 - logs.ravel(), numbers.ravel(), rows), shape=(n, count))
    try:
        found = min_weight_full_bipartite_matching(costs)[1]
    except ValueError:  # two images want the same one, and have no other
        return None
    return np.asarray(found, np.int64)


def _not_draws(binary: Images, grey: Images) -> int:
    """Number of binary images that cannot be draws of the grey images beside them."""
    impossible = ((binary == 255) & (grey == 0)) | ((binary == 0) & (grey == 255))
    return int(impossible.any((1, 2, 3)).sum())
