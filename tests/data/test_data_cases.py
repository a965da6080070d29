"""Files as people have them, where a folder of such lies beside the checkout."""

from pathlib import Path

import pytest

from draw.config.data import DataConfig
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
    "imagefolder_meta": ({"train": 150, "test": 50}, {"train": 10, "test": 10}),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_it_ends_as_it_should(case: str) -> None:
    if not (CASES / case).is_dir():
        pytest.skip("needs the small files of shared/cases beside the checkout")
    counts, classes = OUTCOMES[case]
    found = survey(open_source(DataConfig("images", str(CASES / case))), progress=False)
    assert found.counts == counts
    labels = {split: len(set(of.tolist())) for split, of in found.labels.items() if of is not None}
    assert labels == classes
