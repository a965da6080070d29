"""Numbers that would be wrong are refused: images, weights and results, with what to do."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from draw.config.data import DataConfig
from draw.config.model import ClassifierConfig, ConvnetConfig, DRAWConfig
from draw.data import Splits
from draw.data.batches import to_unit_interval
from draw.errors import DrawError
from draw.measure.accuracy import measure_accuracy
from draw.measure.bound import evaluate
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.models import kinds as models
from draw.models.export import export
from draw.models.kinds import KINDS, Kind, make_model, task_for, task_of
from draw.models.storage import export_model, load_model
from draw.runs.checkpoint import checkpoints, load_tensors, save_tensors
from draw.tasks import Drawing
from draw.training.start import resume, start
from running import TINY, TINY_MODEL, draw_command, image_set, on, plain_accelerator

LOOKS = ClassifierConfig(rows=6, columns=5, glimpses=2, hidden_size=4, read_size=2, classes=3)
CONVNET = ConvnetConfig(
    rows=6, columns=5, filters=2, filter_size=3, stride=1, hidden_size=4, classes=3
)
LOGISTIC = dataclasses.replace(TINY_MODEL, likelihood="logistic", attention="none")
CONFIGS = {"draws": TINY_MODEL, "logistic": LOGISTIC, "looks": LOOKS, "convnet": CONVNET}
WEIGHTS = [(kind, name) for kind, of in CONFIGS.items() for name in make_model(of).state_dict()]


@pytest.fixture(autouse=True)
def as_users_run_it(without_shape_checks: None) -> None:
    """The package's own errors."""


def spoiled(kind: str, name: str, value: float = math.nan) -> models.Model:
    """A model with one number of one tensor that is not finite."""
    model = make_model(CONFIGS[kind])
    with torch.no_grad():
        model.state_dict()[name].view(-1)[-1] = value
    return model


# Images.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_of_8_bits_and_their_fractions_measure_the_same(dtype: type) -> None:
    model, images = DRAW(TINY_MODEL), image_set(5).images
    floats = evaluate(model, (images / 255).astype(dtype))
    assert floats.bound == pytest.approx(evaluate(model, images).bound, rel=1e-6)


OUTSIDE = {
    "8 bits as floats": np.float32(255),
    "a little more than 1": np.nextafter(np.float32(1), np.float32(2)),
    "below 0": np.float32(-1e-6),
    "NaN": np.float32(np.nan),
    "infinite": np.float32(np.inf),
}


@pytest.mark.parametrize("value", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("kind", CONFIGS)
def test_numbers_outside_the_unit_interval_are_refused(kind: str, value: np.float32) -> None:
    images = (image_set(5).images / 255).astype(np.float32)
    images[3, 0, 2, 1] = value
    model, x = make_model(CONFIGS[kind]), torch.from_numpy(images)
    uses = [lambda: model(x), lambda: model.requires_grad_(True)(x)]
    if isinstance(model, DRAW):
        uses += [lambda: evaluate(model, images), lambda: model.reconstruct(x)]
        uses += [lambda: model.codes(x)]
    else:
        labelled = dataclasses.replace(image_set(5), images=images, labels=np.arange(5) % 3)
        uses += [lambda: measure_accuracy(model, labelled)]
    for use in uses:
        with pytest.raises(DrawError, match=r"expected images in \[0, 1\], got numbers from"):
            use()


@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.uint16, np.bool_, np.complex64])
def test_images_of_other_types_are_refused(dtype: type) -> None:
    images = image_set(5).images.astype(dtype)
    for use in (lambda: evaluate(DRAW(TINY_MODEL), images), lambda: to_unit_interval(images)):
        with pytest.raises(DrawError, match="expected images of 8 bits"):
            use()


def test_a_gpus_step_of_training_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """More would make the host wait for it; images of training come from 8 bits."""
    looked: list[int] = []
    monkeypatch.setattr("draw.model.checks.check_unit_interval", lambda images: looked.append(1))
    model, x = on("reference", DRAW(TINY_MODEL)), torch.rand(2, 1, 6, 5)

    class OnGpu(torch.Tensor):
        device = torch.device("cuda")

    check, gpu, like = model._check_images, x.as_subclass(OnGpu), model.canvas_0.as_subclass(OnGpu)
    for _ in range(3):
        check(TINY_MODEL, like, gpu)
    assert len(looked) == 1
    with torch.no_grad():
        check(TINY_MODEL, like, gpu)
    assert len(looked) == 2
    model(x)
    model(x)
    assert len(looked) == 4


# Weights.


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_weights_that_are_not_finite_are_refused(
    tmp_path: Path, kind: str, name: str, value: float
) -> None:
    """Loaded, measured, drawn and written: 4 models, each of their tensors."""
    model = spoiled(kind, name, value)
    stored = tmp_path / "stored"
    export_model(stored, make_model(CONFIGS[kind]), DataConfig(), {})
    save_file(model.state_dict(), stored / "model.safetensors", {"format": "pt"})
    images = dataclasses.replace(image_set(3), labels=np.arange(3))
    uses = [
        lambda: load_model(str(stored)),
        lambda: type(model).from_pretrained(stored),
        lambda: export_model(tmp_path / "given", model, DataConfig(), {}),
        lambda: model.save_pretrained(tmp_path / "given"),
    ]
    if isinstance(model, DRAW):
        x = to_unit_interval(images.images)
        uses += [lambda: evaluate(model, images.images), lambda: model.generate(1)]
        uses += [lambda: model.reconstruct(x), lambda: model.codes(x)]
    else:
        uses += [lambda: measure_accuracy(model, images)]
    for use in uses:
        with pytest.raises(DrawError, match=rf"got NaN or infinity in {name} \(1 of "):
            use()
    assert not list(tmp_path.glob("given/*.safetensors"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve steps."""
    folder = tmp_path_factory.mktemp("numbers") / "run"
    start(TINY, folder, SPLITS.train, SPLITS.validation).fit()
    return folder


SPLITS = Splits(image_set(10), image_set(7, "validation", seed=1), image_set(5, "test", seed=2))


def copied(run: Path, to: Path, prefix: str = "") -> Path:
    """A run whose newest checkpoint and best weights have a NaN, with valid checksums."""
    for path in run.rglob("*"):
        if path.is_file():
            target = to / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    for path in (checkpoints(to)[-1], to / "best" / "model.safetensors"):
        tensors, state = load_tensors(path)
        for name in tensors:
            if name.startswith(prefix) and name.endswith("mu.bias"):
                tensors[name][0] = math.nan
        save_tensors(path, tensors, state)
    return to


@pytest.mark.parametrize("prefix", ["model.", "average.", "optimizer."])
def test_a_run_does_not_go_on_from_such_weights(run: Path, tmp_path: Path, prefix: str) -> None:
    broken = copied(run, tmp_path / "run")
    path = checkpoints(broken)[-1]
    tensors, state = load_tensors(checkpoints(run)[-1])
    name = next(name for name in tensors if name.startswith(prefix) and tensors[name].ndim)
    tensors[name].view(-1)[0] = math.inf
    save_tensors(path, tensors, state)
    longer = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, steps=14))
    with pytest.raises(DrawError, match=f"got NaN or infinity in {name}"):
        resume(longer, broken, SPLITS.train, SPLITS.validation)


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "run"],
        ["evaluate", "run", "--weights", "last"],
        ["info", "run"],
        ["sample", "run"],
        ["animate", "run"],
        ["reconstruct", "run"],
        ["figure", "7", "run"],
    ],
    ids=" ".join,
)
def test_no_verb_gives_a_result_of_such_weights(run: Path, tmp_path: Path, arguments) -> None:
    copied(run, tmp_path / "run")
    done = draw_command(*arguments, "--json", "out.json", cwd=tmp_path, check=1)
    assert "expected finite weights, got NaN or infinity in" in done.stderr
    assert "mu.bias" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_such_weights_are_not_given_away(run: Path, tmp_path: Path) -> None:
    broken = copied(run, tmp_path / "run")
    with pytest.raises(DrawError, match=r"infinity in mu\.bias"):
        export(broken, SPLITS, tmp_path / "to", plain_accelerator(), name="x")
    assert not (tmp_path / "to").exists()


def test_weights_too_large_for_fp16_are_not_given_away(run: Path, tmp_path: Path) -> None:
    broken = copied(run, tmp_path / "run", prefix="nothing")
    tensors, state = load_tensors(broken / "best" / "model.safetensors")
    tensors["mu.bias"][0] = 1e5
    save_tensors(broken / "best" / "model.safetensors", tensors, state)
    with pytest.raises(DrawError, match=r"infinity in mu\.bias .* in fp16"):
        export(broken, SPLITS, tmp_path / "to", plain_accelerator(), name="x", dtype="fp16")
    assert not (tmp_path / "to").exists()


# Results.


@pytest.fixture
def overflowing(tmp_path: Path) -> Path:
    """A folder with pictures, and a model whose weights are finite and whose KL is not."""
    for number in range(12):
        place = tmp_path / "pictures" / f"{number}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(image_set(12).images[number, 0]).save(place)
    model = DRAW(TINY_MODEL)
    with torch.no_grad():
        model.log_sigma.bias += 60
    export_model(tmp_path / "model", model, DataConfig("images"), {})
    return tmp_path


@pytest.mark.parametrize("to", ["out.json", "-", None])
def test_a_result_that_is_not_finite_is_valid_json_and_an_error(overflowing: Path, to) -> None:
    options = ["--data.path", "pictures", *(["--json", to] if to else [])]
    done = draw_command("evaluate", "model", *options, cwd=overflowing, check=1)
    assert "got NaN or infinity for bound, " in done.stderr
    if to is not None:
        text = done.stdout if to == "-" else (overflowing / to).read_text()
        values = json.loads(text, parse_constant=pytest.fail)
        assert values["bound"] is None
        assert values["images"] == 1


def test_a_card_has_no_figures_that_are_not_finite(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = evaluate

    def overflow(*given: object, **options: object) -> object:
        return dataclasses.replace(real(*given, **options), kl=math.inf)

    monkeypatch.setattr("draw.tasks.drawing.evaluate", overflow)
    with pytest.raises(DrawError, match=r"infinity for validation\.kl: nothing was written"):
        export(run, SPLITS, tmp_path / "to", plain_accelerator(), name="x")
    assert not (tmp_path / "to").exists()


# One path to every figure.


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What the task measured, and how."""
    calls, real = [], evaluate

    def record(*given: object, **options: object) -> object:
        calls.append(options)
        return real(*given, **options)

    monkeypatch.setattr("draw.tasks.drawing.evaluate", record)
    return calls


def test_training_evaluation_and_export_measure_through_the_task(
    run: Path, tmp_path: Path, overflowing: Path, measured
) -> None:
    start(TINY, tmp_path / "again", SPLITS.train, SPLITS.validation).fit()
    assert len(measured) == 2
    export(run, SPLITS, tmp_path / "to", plain_accelerator(), name="x", importance_samples=3)
    assert [call["importance_samples"] for call in measured[2:]] == [0, 3]
    options = ("--data.path", "pictures", "--batch-size", "7", "--importance-samples", "2")
    draw_command("evaluate", "to", "--seed", "5", *options, cwd=overflowing)
    assert [measured[-1][name] for name in ("batch_size", "importance_samples", "seed")] == [
        7,
        2,
        5,
    ]
    assert len(measured) == 5


def test_samples_asked_of_a_classifier_are_refused_wherever_it_is_measured(tmp_path: Path) -> None:
    from draw.tasks import Measuring

    labelled = dataclasses.replace(image_set(3), labels=np.arange(3))
    with pytest.raises(DrawError, match="no latent variables"):
        task_of(LOOKS, None).evaluate(
            Classifier(LOOKS), labelled, plain_accelerator(), print, Measuring(3, 2)
        )


class Mine(DRAW):
    """A model of somebody's own."""


class MyConfig(DRAWConfig):
    """And its config."""

    kind = "mine"


@pytest.fixture
def own() -> Iterator[DRAWConfig]:
    KINDS["mine"] = Kind(MyConfig, Mine, Drawing)
    yield MyConfig(**dataclasses.asdict(TINY_MODEL))
    del KINDS["mine"]


def test_a_task_makes_a_model_of_the_configs_own_class(own: DRAWConfig) -> None:
    config = dataclasses.replace(TINY, model=own)
    assert type(task_for(config).make_model()) is Mine
    assert type(task_for(TINY).make_model()) is DRAW


def test_a_config_that_no_model_is_named_for_is_refused() -> None:
    config = MyConfig(**dataclasses.asdict(TINY_MODEL))
    for make in (lambda: make_model(config), lambda: task_of(config, None).make_model()):
        with pytest.raises(DrawError, match=r"got MyConfig; name the model"):
            make()


def test_stored_weights_are_those_that_were_checked(tmp_path: Path) -> None:
    """A model of finite weights is written and read as ever."""
    model = DRAW(TINY_MODEL)
    model.save_pretrained(tmp_path)
    assert torch.equal(load_file(tmp_path / "model.safetensors")["mu.bias"], model.mu.bias)
