"""Models side by side: paired figures, pooled seeds, equal images and seconds, refusals."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from draw import ClassifierConfig
from draw.data import ImageSet, Splits
from draw.errors import DrawError
from draw.measure.bound import evaluate
from draw.models.comparison import Comparison, compare
from draw.models.comparison_table import remarks
from draw.models.kinds import run_config, task_of
from draw.models.storage import LoadedModel, load_model
from draw.runs.paths import write_run_file
from draw.tasks import Measuring, Result, Task
from draw.training.start import start
from draw.visualize.comparison_curves import comparison_curves
from running import TINY, draw_command, image_set, plain_accelerator, with_train

SPLITS = Splits(image_set(10), image_set(7, "validation", seed=1), image_set(9, "test", seed=2))
SEVERAL = {"first": 0, "second": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two runs that differ in their seed, and one of another model, of twelve steps each."""
    place = tmp_path_factory.mktemp("comparison")
    configs = {name: with_train(TINY, seed=seed) for name, seed in SEVERAL.items()}
    configs["learned"] = dataclasses.replace(
        TINY, model=dataclasses.replace(TINY.model, prior="learned")
    )
    for name, config in configs.items():
        start(config, place / name, SPLITS.train, SPLITS.validation).fit()
    return {name: place / name for name in configs}


def compared(*runs: Path, images: ImageSet = SPLITS.test) -> Comparison:
    accelerator = plain_accelerator()

    def measured(task: Task, one: LoadedModel, how: Measuring) -> Result:
        return task.evaluate(one.model, images, accelerator, lambda *_: None, how)

    models = [(str(run), load_model(str(run))) for run in runs]
    return compare(models, images, Measuring(seed=3), measured)


def test_every_model_is_measured_on_the_same_images_and_noise(runs: dict[str, Path]) -> None:
    found = compared(runs["first"], runs["learned"])
    one, other = found.candidates
    scores = [
        evaluate(load_model(str(runs[name])).drawing, SPLITS.test.images, seed=3).scores
        for name in ("first", "learned")
    ]
    assert one.score == pytest.approx(scores[0].mean())
    assert one.difference is None
    assert other.difference is not None
    apart = scores[1] - scores[0]
    assert other.difference.mean == pytest.approx(apart.mean())
    assert other.difference.standard_error == pytest.approx(apart.std(ddof=1) / 3)
    assert other.parameters > one.parameters
    assert found.images == 9


def test_runs_that_differ_in_their_seed_are_one_candidate(runs: dict[str, Path]) -> None:
    found = compared(runs["learned"], runs["first"], runs["second"])
    learned, pooled = found.candidates
    assert learned.names == (str(runs["learned"]),)
    assert pooled.names == (str(runs["first"]), str(runs["second"]))
    assert pooled.name == f"{runs['first']} and 1 more"
    means = [result.scores.mean() for result in pooled.results]
    assert pooled.score == pytest.approx(np.mean(means))
    assert pooled.standard_error == pytest.approx(np.std(means, ddof=1) / 2**0.5)
    assert pooled.deviation == pytest.approx(np.std(means, ddof=1))
    assert (pooled.seeds, learned.seeds) == ((0, 1), (0,))
    assert learned.deviation is None
    assert pooled.training_images == (48, 48)
    apart = pooled.difference
    assert apart is not None
    images = np.mean([result.scores for result in pooled.results], 0) - learned.results[0].scores
    assert apart.over_images == pytest.approx(images.std(ddof=1) / 3)
    assert apart.between_seeds == pytest.approx(pooled.standard_error)
    assert apart.standard_error == pytest.approx(np.hypot(apart.over_images, apart.between_seeds))


def test_runs_of_one_seed_are_not_pooled(runs: dict[str, Path], tmp_path: Path) -> None:
    """Two that are equal in all, such as one of an older version and one of a newer."""
    again = shutil.copytree(runs["first"], tmp_path / "again")
    pooled, alone = compared(runs["first"], again, runs["second"]).candidates
    assert pooled.names == (str(runs["first"]), str(runs["second"]))
    assert alone.names == (str(again),)
    assert alone.seeds == (0,)


def test_scores_of_other_validation_images_are_not_set_beside_one_another(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    some = with_train(TINY, evaluate_images=3)
    start(some, tmp_path / "some", SPLITS.train, SPLITS.validation).fit()
    found = compared(runs["first"], tmp_path / "some")
    assert (found.equal_images, found.equal_seconds) == (None, None)
    assert all(one.after_images is None for one in found.candidates)
    assert found.obstacle is not None
    assert "some was validated on other images than" in found.obstacle
    assert "train.evaluate_images" in found.obstacle
    assert found.to_dict()["no_equal_images_or_seconds"] == found.obstacle
    exported = compared(runs["first"], runs["second"] / "best")
    assert exported.obstacle == f"{runs['second'] / 'best'} is no run folder with evaluations"
    assert compared(runs["first"], runs["learned"]).obstacle is None


def of_images(run: Path, to: Path, path: Path, validation: str | None) -> Path:
    """A copy of a run as if it were of pictures at a path, and validated on some of them."""
    shutil.copytree(run, to)
    config = run_config(run)
    data = dataclasses.replace(config.data, name="images", path=str(path))
    noted = {} if validation is None else {"images": {"validation": validation}}
    write_run_file(to, dataclasses.replace(config, data=data), noted)
    return to


def test_folders_with_other_validation_images_are_told_apart(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """By what was noted of them; of runs that noted nothing, by where they lie."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "link").symlink_to("a")
    made = {
        name: of_images(runs["first"], tmp_path / name, tmp_path / folder, noted)
        for name, folder, noted in (
            ("old-a", "a", None),
            ("old-b", "b", None),
            ("old-link", "link", None),
            ("new-a", "a", "1"),
            ("new-b", "b", "1"),
            ("grown-a", "a", "2"),
        )
    }
    for one, other, same in (
        ("old-a", "old-link", True),
        ("old-a", "old-b", False),
        ("old-a", "new-a", True),
        ("old-b", "new-a", False),
        ("new-a", "new-b", True),
        ("new-a", "grown-a", False),
    ):
        obstacle = compared(made[one], made[other]).obstacle
        assert (obstacle is None) == same, (one, other)
        assert same or "was validated on other images than" in str(obstacle)


def test_runs_on_a_folder_that_changed_between_them_are_not_pooled(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    first, again, grown = (
        of_images(runs[run], tmp_path / noted, tmp_path, noted)
        for run, noted in (("first", "1"), ("second", "01"), ("second", "2"))
    )
    assert len(compared(first, grown).candidates) == 2
    write_run_file(again, run_config(again), {"images": {"validation": "1"}})
    assert len(compared(first, again).candidates) == 1


def test_equal_images_and_seconds_are_read_from_the_runs(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """Of two runs with other metrics: scores lie on a line between evaluations."""
    lines = {
        "slow": [(100, 10.0, 9.0), (200, 20.0, 7.0), (400, 40.0, 5.0)],
        "fast": [(100, 1.0, 8.0), (300, 3.0, 6.0)],
    }
    places = []
    for name, measured in lines.items():
        shutil.copytree(runs["first" if name == "slow" else "learned"], tmp_path / name)
        rows = []
        for images, seconds, score in measured:
            common = {"step": images, "images_seen": images}
            rows.append({"kind": "train", **common, "seconds": seconds, "bound": 1.0})
            rows.append({"kind": "validation", **common, "bound": score})
        (tmp_path / name / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        places.append(tmp_path / name)
    found = compared(*places)
    slow, fast = found.candidates
    assert (found.equal_images, found.equal_seconds) == (300, 3.0)
    assert (slow.after_images, fast.after_images) == (6.0, 6.0)
    assert (slow.after_seconds, fast.after_seconds) == (None, 6.0)  # slow: not measured so early
    assert (slow.images_per_second, fast.images_per_second) == (10.0, 100.0)
    curves = {one.name: one.progress for one in found.candidates}
    out = comparison_curves(curves, tmp_path / "curves.png", title="bound", unit="nats")
    assert out.read_bytes().startswith(b"\x89PNG")


def test_an_evaluation_between_two_lines_of_training_has_a_time_between_theirs(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """Lines of training have the seconds, evaluations do not; some come before the first line."""
    run = shutil.copytree(runs["first"], tmp_path / "run")
    rows: list[dict[str, object]] = [
        {"kind": "validation", "step": 1, "images_seen": 10, "bound": 9.0},
        {"kind": "train", "step": 2, "images_seen": 20, "seconds": 4.0, "bound": 1.0},
        {"kind": "validation", "step": 3, "images_seen": 30, "bound": 8.0},
        {"kind": "train", "step": 4, "images_seen": 40, "seconds": 10.0, "bound": 1.0},
        {"kind": "validation", "step": 4, "images_seen": 40, "bound": 7.0},
    ]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (progress,) = compared(run, runs["learned"]).candidates[0].progress
    assert progress.images.tolist() == [10, 30, 40]
    assert progress.seconds.tolist() == [2.0, 7.0, 10.0]
    assert progress.scores.tolist() == [9.0, 8.0, 7.0]


def test_models_that_do_not_compare_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    config = dataclasses.replace(
        TINY,
        model=ClassifierConfig(rows=6, columns=5, glimpses=1, hidden_size=4, read_size=2),
    )
    classifier = tmp_path / "classifier"
    labelled = [
        dataclasses.replace(part, labels=np.arange(part.count) % 10)
        for part in (SPLITS.train, SPLITS.validation)
    ]
    start(config, classifier, *labelled).fit()
    with pytest.raises(DrawError, match=r"the score of .*first is 'bound' and of .* 'error'"):
        compared(runs["first"], classifier)
    other = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, likelihood="logistic"))
    start(other, tmp_path / "logistic", SPLITS.train, SPLITS.validation).fit()
    with pytest.raises(DrawError, match="what it means of"):
        compared(runs["first"], tmp_path / "logistic")
    with pytest.raises(DrawError, match="expected two or more models to compare, got 1"):
        compared(runs["first"])


def test_a_bound_given_the_class_is_said_to_be_one(runs: dict[str, Path], tmp_path: Path) -> None:
    kind = dataclasses.replace(TINY.model, condition="class", classes=4)
    told, labels = tmp_path / "told", np.arange(10) % 4
    parts = [
        dataclasses.replace(
            part,
            labels=labels[: part.count],
            images=255 * (part.images > 127).astype(np.uint8),
            binary=True,
        )
        for part in (SPLITS.train, SPLITS.validation, SPLITS.test)
    ]
    start(dataclasses.replace(TINY, model=kind), told, *parts[:2]).fit()
    found = compared(runs["first"], told, images=parts[2])
    words = f"Told the class of each image is {told}: its bound is of -log p(x | class)"
    (said,) = [one for one in remarks(found) if "class" in one]
    assert said.startswith(words)
    assert "up to log 4 = 1.39 nats" in said
    assert [one["classes_told"] for one in found.to_dict()["candidates"]] == [None, 4]
    assert not any("class" in one for one in remarks(compared(runs["first"], runs["learned"])))
    task = found.task
    assert not any("class" in one for one in task.figures(SPLITS.test).values())
    loaded = load_model(str(told))
    task = task_of(loaded.model.config, loaded.data)
    assert task.figures(parts[2])["bound"] == "upper bound on -log p(x | class), nats per image"
    assert task.facts(parts[2], Measuring())["given"] == "class"
    assert "given the class" in task.conclude(found.candidates[1].results[0])


@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
def test_the_verb_shows_a_column_for_each(tmp_path: Path) -> None:
    flags = ("--model.glimpses", "2", "--model.hidden-size", "4", "--train.steps", "2")
    flags += ("--train.batch-size", "8", "--train.evaluate-every", "1", "--train.log-every", "1")
    for name, prior in (("a", "standard"), ("b", "learned")):
        draw_command("train", "digits", "--out", name, "--model.prior", prior, *flags, cwd=tmp_path)
    draw_command(
        "train", "digits", "--out", "c", "--train.seed", "1", "--model.prior", "learned", *flags,
        cwd=tmp_path,
    )  # fmt: skip
    done = draw_command(
        "compare", "a", "b", "--json", "found.json", "--out", "curves.png", cwd=tmp_path
    )
    for words in ("difference from the first, paired", "parameters", "validation after 16 images"):
        assert words in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["models"] for one in found["candidates"]] == [["a"], ["b"]]
    assert found["candidates"][1]["difference"]["mean"] != 0
    assert (tmp_path / "curves.png").exists()
    assert "the standard error over images." in done.stdout
    assert "What another seed would change is not in the +- of a single run" in done.stdout
    last = ("--weights", "last")
    draw_command("compare", "a", "b/best", *last, cwd=tmp_path)  # the choice is for runs
    failed = draw_command("compare", "a/best", "b/best", *last, cwd=tmp_path, check=1)
    assert "expected a run folder for --weights last" in failed.stderr
    pooled = draw_command("compare", "a", "b", "c", "--importance-samples", "2", cwd=tmp_path)
    for words in (
        "b and 1 more", "2 seeds, standard deviation", "179 images", "importance-weighted, K = 2",
        "+- over images alone", "+- between seeds alone", "training images behind the weights",
        "the standard error over images and between the seeds.",
    ):  # fmt: skip
        assert words in pooled.stdout
    some = ("--images", "6", "--refine", "2", "--importance-samples", "3", "--json", "-")
    refined = draw_command("compare", "a", "b", *some, cwd=tmp_path)
    for words in ("6 images", "refined bound, 2 updates", "its estimate, K = 3"):
        assert words in refined.stderr
    values = [one["results"][0] for one in json.loads(refined.stdout)["candidates"]]
    assert all(one["refined_bound"] < one["bound"] for one in values)
    apart = draw_command("compare", "a", "b/best", cwd=tmp_path)
    assert "equal seconds: b/best is no run folder with evaluations." in apart.stdout
    blank = ("compare", "a/best", "b/best", "--out", "blank.png")
    assert "expected a run folder among" in draw_command(*blank, cwd=tmp_path, check=1).stderr
    assert not (tmp_path / "blank.png").exists()
    alone = draw_command("compare", "a", cwd=tmp_path, check=None)
    assert alone.returncode == 1
    assert "two or more models" in alone.stderr
