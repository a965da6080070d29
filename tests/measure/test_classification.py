"""Training a classifier: the same loop, resumed bit by bit, judged by its errors, seen looking."""

import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from draw import cli
from draw.config.data import DataConfig
from draw.config.model import ClassifierConfig, ConvnetConfig
from draw.config.run import Config
from draw.data import ImageSet, load_images
from draw.errors import DrawError, Interruption
from draw.measure.accuracy import check_labels, measure_accuracy
from draw.model.classifier import Classifier
from draw.model.convnet import Convnet
from draw.models.kinds import model_config, task_for
from draw.models.storage import load_model
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.runs.metrics import read_metrics
from draw.tasks import Classifying, Drawing
from draw.training.finish import finish
from draw.training.start import resume, resumed_config, start
from draw.training.trainer import Trainer
from draw.visualize.run_pictures import glimpses_of
from running import TINY, batch_of, image_set, with_train

WINDOWED = ClassifierConfig(rows=6, columns=5, glimpses=3, hidden_size=8, read_size=2, classes=3)
CONVOLVED = ConvnetConfig(
    rows=6, columns=5, filters=4, filter_size=3, stride=1, hidden_size=16, classes=3
)
NETWORKS = pytest.mark.parametrize("model", [WINDOWED, CONVOLVED], ids=["window", "convnet"])


def labelled(count: int, split: str = "train", seed: int = 0, classes: int = 3) -> ImageSet:
    """Images that are brighter the higher their label."""
    images = image_set(count, split, seed=seed)
    labels = np.arange(count, dtype=np.int64) % classes
    dimmed = (images.images * ((labels + 1) / classes)[:, None, None, None]).astype(np.uint8)
    return dataclasses.replace(images, images=dimmed, labels=labels)


TRAINING, VALIDATION = labelled(30), labelled(7, "validation", seed=1)
TEST = labelled(11, "test", seed=2)


def config_of(model: ClassifierConfig | ConvnetConfig, **changes: object) -> Config:
    config = dataclasses.replace(TINY, model=model, data=DataConfig(name="images"))
    return with_train(config, **changes)


def width(picture: str) -> int:
    with Image.open(picture) as opened:
        return opened.size[0]


def fresh(run: Path, config: Config) -> Trainer:
    return start(config, run, TRAINING, VALIDATION)


def test_its_window_takes_a_share_of_the_step(tmp_path: Path) -> None:
    trainer = fresh(tmp_path / "run", config_of(WINDOWED, window_share=0.2))
    names = [name for name, _ in trainer.bare_model.named_parameters()]
    shares = [group["share"] for group in trainer.optimizer.param_groups]
    slower = {name for name, share in zip(names, shares, strict=True) if share == 0.2}
    assert slower == {"read_window.weight", "read_window.bias"}


def test_a_run_has_the_task_of_its_model() -> None:
    assert isinstance(task_for(TINY), Drawing)
    for model in (WINDOWED, CONVOLVED):
        assert isinstance(task_for(config_of(model)), Classifying)


@pytest.mark.parametrize("model", [TINY.model, WINDOWED, CONVOLVED, ClassifierConfig()])
def test_the_kind_of_a_model_is_known_from_its_stored_config(model: object) -> None:
    assert model_config(dataclasses.asdict(model)) == model  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=f"unknown {type(model).__name__} field wheels"):
        model_config({**dataclasses.asdict(model), "wheels": 4})  # type: ignore[call-overload]


@NETWORKS
def test_training_lowers_the_error(tmp_path: Path, model: ClassifierConfig | ConvnetConfig) -> None:
    config = config_of(model, steps=150, evaluate_every=75, batch_size=15, clip_norm=5.0)
    trainer = fresh(tmp_path / "run", config)
    trainer.fit()
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    training = [line for line in lines if line["kind"] == "train"]
    assert training[0]["cross_entropy"] == pytest.approx(math.log(3), abs=0.3)
    assert training[-1]["error"] < 25 < training[0]["error"]
    best = load_model(str(tmp_path / "run"))
    validation = [line for line in lines if line["kind"] == "validation"]
    assert best.state["validation_error"] == min(line["error"] for line in validation)
    found = measure_accuracy(best.model, VALIDATION)  # type: ignore[arg-type]
    assert found.error == pytest.approx(best.state["validation_error"])


def test_an_update_is_adam_on_the_cross_entropy_of_the_last_answer(tmp_path: Path) -> None:
    config = config_of(WINDOWED, steps=1, warmup_steps=0, clip_norm=100.0)
    trainer = fresh(tmp_path / "run", config)
    model = Classifier(WINDOWED)
    model.load_state_dict(trainer.bare_model.state_dict())
    images, _, labels, *_ = batch_of(trainer)
    trainer.fit()
    adam = torch.optim.Adam(model.parameters(), lr=config.train.learning_rate)
    answers = model(images).logits.softmax(1)
    (-answers[range(len(labels)), labels].log().mean()).backward()
    adam.step()
    for name, value in trainer.bare_model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_early_answers_are_learnt_from_as_their_weight_says(tmp_path: Path) -> None:
    model_config = dataclasses.replace(WINDOWED, early_loss=0.6, glimpses=3)
    trainer = fresh(tmp_path / "run", config_of(model_config, steps=1))
    batch = batch_of(trainer)
    losses = trainer.task.losses(trainer.bare_model, batch)
    answers = trainer.bare_model(batch.images).logits_by_glimpse.log_softmax(-1)
    first, second, last = -answers[:, range(len(batch.labels)), batch.labels].mean(1)
    assert next(iter(losses)) == "loss"
    expected = (0.6 / 3 * first + 0.6 * 2 / 3 * second + last) / (0.6 / 3 + 0.6 * 2 / 3 + 1)
    torch.testing.assert_close(losses["loss"], expected)
    torch.testing.assert_close(losses["cross_entropy"], last)
    alone = fresh(tmp_path / "alone", config_of(dataclasses.replace(model_config, glimpses=1)))
    assert "loss" not in alone.task.losses(alone.bare_model, batch)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    config = config_of(WINDOWED)
    fresh(tmp_path / "straight", config).fit()
    stopped = fresh(tmp_path / "stopped", config)
    one_step = stopped._one_step

    def watched() -> bool:
        stopped.stop_asked = stopped.step == 4
        return one_step()

    stopped._one_step = watched  # type: ignore[method-assign]
    with pytest.raises(Interruption):
        stopped.fit()
    run = tmp_path / "stopped"
    resume(resumed_config(run), run, TRAINING, VALIDATION).fit()
    (straight, _), (again, _) = (
        load_tensors(checkpoints(tmp_path / name)[-1]) for name in ("straight", "stopped")
    )
    assert straight.keys() == again.keys()
    for name, value in straight.items():
        assert torch.equal(value, again[name]), name


@NETWORKS
def test_a_finished_run_has_its_test_error_and_pictures(
    tmp_path: Path, model: ClassifierConfig | ConvnetConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    result = finish(fresh(run, config_of(model)), TEST)
    assert result is not None
    assert result["test"]["images"] == TEST.count
    pictures = {"curves.png"} if model is CONVOLVED else {"curves.png", "glimpses.png"}
    assert {Path(picture).name for picture in result["pictures"]} == pictures
    assert all(width(picture) > 200 for picture in result["pictures"])
    assert (run / "glimpses").exists() == (model is WINDOWED)
    said = capsys.readouterr().out
    assert f"test error {result['test']['error']:.2f} %" in said
    assert "3 classes" in said


@NETWORKS
@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_every_image_counts_once_whatever_the_batch_size(
    model: ClassifierConfig | ConvnetConfig, batch_size: int
) -> None:
    network = Classifier(model) if isinstance(model, ClassifierConfig) else Convnet(model)
    found = measure_accuracy(network, TEST, batch_size=batch_size)
    with torch.no_grad():
        answers = [network(torch.from_numpy(image[None]).float() / 255) for image in TEST.images]
    assert TEST.labels is not None
    wrong, entropy = 0, 0.0
    for answer, label in zip(answers, TEST.labels, strict=True):
        wrong += int(answer.logits.argmax()) != label
        entropy -= float(answer.logits.log_softmax(1)[0, label])
    assert found.images == TEST.count
    assert found.error == pytest.approx(100 * wrong / TEST.count)
    assert found.cross_entropy == pytest.approx(entropy / TEST.count, rel=1e-5)
    assert found.error_by_glimpse[-1] == found.error
    assert len(found.error_by_glimpse) == len(answers[0].logits_by_glimpse)


@NETWORKS
def test_a_classifier_in_double_precision_is_measured(
    model: ClassifierConfig | ConvnetConfig,
) -> None:
    network = Classifier(model) if isinstance(model, ClassifierConfig) else Convnet(model)
    found, exact = measure_accuracy(network, TEST), measure_accuracy(network.double(), TEST)
    assert exact.cross_entropy == pytest.approx(found.cross_entropy, rel=1e-4)


def test_the_interval_is_wilsons() -> None:
    """By Wilson (1927): 3 of 11 wrong."""
    network = Classifier(WINDOWED)
    with torch.no_grad():
        network.logits.weight.zero_()
        network.logits.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    found = measure_accuracy(network, TEST)  # always says 2; labels are 0 1 2 0 1 2 0 1 2 0 1
    p, n, z = 8 / 11, 11, 1.959964
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found.error == pytest.approx(100 * p)
    assert found.error_low == pytest.approx(100 * (middle - half), rel=1e-5)
    assert found.error_high == pytest.approx(100 * (middle + half), rel=1e-5)


def test_images_of_a_single_class_can_be_learned(tmp_path: Path) -> None:
    alike = dataclasses.replace(TRAINING, labels=np.zeros(30, dtype=np.int64))
    held_out = dataclasses.replace(VALIDATION, labels=np.zeros(7, dtype=np.int64))
    trainer = start(
        config_of(WINDOWED, steps=60, evaluate_every=60), tmp_path / "run", alike, held_out
    )
    trainer.fit()
    assert trainer.selection.best == 0.0


def test_images_that_cannot_be_classified_are_refused(tmp_path: Path) -> None:
    config = config_of(WINDOWED)
    unlabelled = image_set(10)
    with pytest.raises(DrawError, match=r"expected labelled images.*a subfolder for each class"):
        start(config, tmp_path / "run", unlabelled, VALIDATION)
    many = labelled(10, classes=5)
    with pytest.raises(DrawError, match=r"labels from 0 to 2 .*got 0 to 4.*--model\.classes 5"):
        start(config, tmp_path / "run", TRAINING, many)
    with pytest.raises(DrawError, match="labels from 0 to 2"):
        glimpses_of(Classifier(WINDOWED), many, tmp_path / "glimpses.png")
    negative = dataclasses.replace(TRAINING, labels=np.array([-1, 0, 1] * 10))
    with pytest.raises(DrawError, match="got -1 to 1"):
        check_labels(negative, 3)
    dynamic = dataclasses.replace(config, data=DataConfig(name="images", binarize="dynamic"))
    with pytest.raises(DrawError, match=r"expected data\.binarize none for a classifier"):
        start(dynamic, tmp_path / "run", TRAINING, VALIDATION)
    assert not (tmp_path / "run").exists()


def test_a_convnet_needs_images_as_large_as_its_filters() -> None:
    with pytest.raises(ValueError, match=r"model\.filter_size to be at most the images' 5 pixels"):
        dataclasses.replace(CONVOLVED, filter_size=6)
    with pytest.raises(DrawError, match=r"expected images of shape \[batch, 1, 6, 5\]"):
        Convnet(CONVOLVED)(torch.zeros(2, 1, 5, 6))


@NETWORKS
def test_a_saved_network_is_the_same(
    tmp_path: Path, model: ClassifierConfig | ConvnetConfig
) -> None:
    run = tmp_path / "run"
    fresh(run, config_of(model)).fit()
    images = torch.rand(4, 1, 6, 5)
    loaded = load_model(str(run)).model
    kind = Classifier if isinstance(model, ClassifierConfig) else Convnet
    for other in (load_model(str(run / "best")).model, kind.from_pretrained(run / "best")):
        assert torch.equal(other(images).logits, loaded(images).logits)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on scikit-learn's digits, by the command line; the folder it was made in."""
    place = tmp_path_factory.mktemp("classifying")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        command(
            patch, "train", "cluttered", "--data.name", "digits", "--model.rows", "28",
            "--model.columns", "28", "--model.hidden-size", "8", "--model.glimpses", "2",
            "--model.read-size", "4", "--train.steps", "6", "--train.evaluate-every", "3",
            "--train.batch-size", "8", "--precision", "fp32", "--out", "run",
            "--data.cache-dir", "cache",
        )  # fmt: skip
    return place


def command(patch: pytest.MonkeyPatch, *arguments: str) -> None:
    patch.setattr(sys, "argv", ["draw", *arguments])
    cli.main()


def test_glimpses_and_their_numbers(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(digits)
    command(monkeypatch, "glimpses", "run", "--n", "3", "--json", "g.json")
    assert capsys.readouterr().out.strip() == "glimpses.png"
    assert width("glimpses.png") > 200
    result = json.loads(Path("g.json").read_text())
    probabilities = np.array(result["probabilities"])
    assert probabilities.shape == (3, 2, 10)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    assert np.array(result["windows"]["g_x"]).shape == (3, 2)
    test = load_images(DataConfig(name="digits", cache_dir="cache"), "test")
    assert test.labels is not None
    assert result["labels"] == test.labels[result["numbers"]].tolist()


def test_figures_5_and_11_of_a_classifier(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(digits)
    command(monkeypatch, "figure", "5", "run", "--n", "2", "--json", "5.json")
    assert "the paper's figure 5 is of cluttered-mnist" in capsys.readouterr().out
    assert len(json.loads(Path("5.json").read_text())["labels"]) == 2
    assert width("figure-5.png") > 200
    command(monkeypatch, "figure", "11", "run")
    assert width("figure-11.png") > 200


def test_evaluate_and_info_of_a_classifier(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(digits)
    command(monkeypatch, "evaluate", "run", "--json", "e.json")
    result = json.loads(Path("e.json").read_text())
    assert f"{result['error']:.2f} %" in capsys.readouterr().out
    assert result["error_low"] <= result["error"] <= result["error_high"]
    tested = [line for line in read_metrics(Path("run/metrics.jsonl")) if line["kind"] == "test"]
    assert result["error"] == pytest.approx(tested[0]["error"])
    command(monkeypatch, "info", "run", "--json", "-")
    assert json.loads(capsys.readouterr().out)["is"] == "Classifier"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sample", "run"), "expected a model that draws, got run/best/model.safetensors"),
        (("animate", "run"), "expected a model that draws"),
        (("reconstruct", "run"), "expected a model that draws"),
        (("evaluate", "run", "--importance-samples", "5"), "no latent variables"),
        (("evaluate", "run", "--seed", "5"), "expected no --seed for a classifier"),
        (("glimpses", "run", "--seed", "5"), "expected no --seed for where a classifier looks"),
        (("info", "run", "--seed", "5"), "expected no --seed for what a model is"),
        (("glimpses", "run", "--n", "0"), "expected --n to be a whole number of at least 1, got 0"),
        (("glimpses", "run", "--data.name", "images", "--data.path", "grey"), "expected images of"),
    ],
)
def test_what_a_classifier_cannot_do_is_told(
    digits: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(digits)
    Path("grey").mkdir(exist_ok=True)
    for i in range(12):
        Image.new("L", (9, 9), 20 * i).save(f"grey/{i}.png")
    with pytest.raises(SystemExit):
        command(monkeypatch, *arguments)
    assert says in capsys.readouterr().err


def test_glimpses_need_a_classifier(tmp_path: Path) -> None:
    trainer = start(TINY, tmp_path / "run", image_set(10), image_set(7, "validation"))
    trainer.fit()
    loaded = load_model(str(tmp_path / "run"))
    with pytest.raises(DrawError, match=r"expected a classifier with a window.*a DRAW"):
        _ = loaded.classifier
    assert loaded.drawing is loaded.model
