"""Files as people have them, where a folder of such lies beside the checkout."""

from dataclasses import replace
from pathlib import Path

import pytest

from draw.config.data import DataConfig
from draw.data import DataError, check
from draw.data.sources.open_source import open_source
from draw.data.store.survey import survey

CASES = Path(__file__).parents[3] / "shared" / "cases"
Outcome = tuple[dict[str, int], dict[str, int | None]]
"""Pictures of each stored split, and how many different labels they have."""

OUTCOMES: dict[str, Outcome] = {
    "amat": ({"train": 10, "validation": 10, "test": 10}, {}),
    "mnist_gz": ({"train": 150, "test": 50}, {"train": 10, "test": 10}),
    "keras_npz": ({"train": 150, "test": 50}, {"train": 10, "test": 10}),
    "kaggle_csv": ({"train": 11, "test": 11}, {"train": 10}),
    "split_train2017": ({"train": 20, "validation": 10}, {}),
    "wrapped": ({"train": 40, "test": 20}, {"train": 5, "test": 5}),
    "svhn_fmt2": ({"train": 150, "test": 50}, {"train": 10, "test": 10}),
    "pq_plain_struct": ({"train": 200}, {"train": 10}),
    "imagefolder_meta": ({"train": 150, "test": 50}, {"train": 10, "test": 10}),
}


def place(case: str) -> str:
    if not (CASES / case).is_dir():
        pytest.skip("needs the small files of shared/cases beside the checkout")
    return str(CASES / case)


@pytest.mark.parametrize("case", OUTCOMES)
def test_it_ends_as_it_should(case: str) -> None:
    counts, classes = OUTCOMES[case]
    found = survey(open_source(DataConfig("images", place(case))), progress=False)
    assert found.counts == counts
    labels = {split: len(set(of.tolist())) for split, of in found.labels.items() if of is not None}
    assert labels == classes


def test_amat_is_the_set_of_its_name(tmp_path: Path) -> None:
    config = DataConfig("binarized_mnist", place("amat"), cache_dir=str(tmp_path))
    assert check(config, progress=False).problems == ()


def test_of_several_configurations_one_is_chosen() -> None:
    with pytest.raises(DataError, match="2 sets: cropped, full; pass"):
        open_source(DataConfig("images", place("readme_configs")))
    source = open_source(DataConfig("images", place("readme_configs"), config="full"))
    assert survey(source, progress=False).count > 0


def test_house_numbers_have_their_boxes() -> None:
    pytest.importorskip("h5py")
    source = open_source(DataConfig("svhn", place("svhn_fmt1")))
    boxes = [picture.box for picture in source.splits()["train"]]
    assert boxes == [(1, 5, 33, 43), (0, 5, 62, 43), (0, 5, 91, 43)]


def test_odd_pictures_are_said(tmp_path: Path) -> None:
    config = DataConfig("images", place("pictures"), cache_dir=str(tmp_path), mode="colour")
    report = check(config, progress=False)
    for said in ("has several pages", "turned into sRGB", "has an alpha channel"):
        assert said in report.source
    assert "images of one colour alone: 2" in report.warnings
    seen = check(replace(config, background="black"), progress=False)
    assert "images of one colour alone: 1" in seen.warnings  # a page of the scan
