"""Files of before how to run left the model: read, with what they asked for or a refusal."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from draw.config.compute import ComputeConfig
from draw.config.run import Config
from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.model.pretrained import shipped_models
from draw.models.kinds import configs, run_config
from draw.models.storage import load_model
from draw.training.start import resume, resumed_config, start
from running import TINY, TINY_MODEL, image_set, on, with_train


def of_before(config: Config, **model_and_train: str) -> dict[str, Any]:
    """A run's config as it was written then, with a kernel and a precision where they are given."""
    values = json.loads(json.dumps(config.to_dict()))
    del values["compute"]
    places = {"kernel": "model", "precision": "train"}
    for name, value in model_and_train.items():
        values[places[name]][name] = value
    return values


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, ComputeConfig()),
        ({"kernel": "auto", "precision": "auto"}, ComputeConfig()),
        ({"kernel": "fused", "precision": "fp32"}, ComputeConfig(precision="fp32")),
        ({"kernel": "reference", "precision": "bf16"},
         ComputeConfig(backend="reference", precision="bf16")),
    ],
)  # fmt: skip
def test_a_run_keeps_what_it_asked_for(before: dict[str, str], now: ComputeConfig) -> None:
    read = Config.from_dict(of_before(TINY, **before), configs())
    assert read == dataclasses.replace(TINY, compute=now)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("wrong", [{"kernel": "fast"}, {"precision": "half"}])
def test_what_never_was_is_refused(wrong: dict[str, str]) -> None:
    (name,) = wrong
    with pytest.raises(DrawError, match=rf"expected (model|compute)\.{name} to be .*, got "):
        Config.from_dict(of_before(TINY, **wrong), configs())


def test_a_run_of_before_goes_on(tmp_path: Path) -> None:
    run, images = tmp_path / "run", image_set(8)
    trainer = start(with_train(TINY, steps=2), run, images, images)
    trainer.save()
    trainer.lock.release()
    path = run / "run.json"
    values = json.loads(path.read_text())
    values["config"] = of_before(TINY, kernel="reference", precision="fp32")
    del values["made"]["compute"], values["sha256"]
    path.write_text(json.dumps(values))
    assert run_config(run).compute == ComputeConfig(backend="reference", precision="fp32")
    again = resume(resumed_config(run), run, images, images)
    assert again.bare_model.choice.reason == "as asked"
    again.lock.release()
    now = json.loads(path.read_text())
    assert now["config"]["compute"]["backend"] == "reference"
    assert "kernel" not in now["config"]["model"]


def test_the_shipped_models_are_such_files() -> None:
    said = [json.loads((path / "config.json").read_text()) for path in shipped_models().values()]
    assert any("kernel" in config for config in said)
    assert load_model("mnist-small").drawing.backend == "auto"
    assert DRAW.from_pretrained("mnist-small").backend == "auto"


@pytest.mark.parametrize("kernel", ["auto", "reference", "fused"])
def test_a_model_does_not_say_how_it_is_run(kernel: str, tmp_path: Path) -> None:
    on("reference", DRAW(TINY_MODEL)).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    assert {"kernel", "backend", "compute"} & stored.keys() == set()
    path.write_text(json.dumps({**stored, "kernel": kernel}))
    for again in (DRAW.from_pretrained(tmp_path), load_model(str(tmp_path)).drawing):
        assert again.config == TINY_MODEL
        assert again.backend == "auto"
    path.write_text(json.dumps({**stored, "kernel": "fast"}))
    for load in (DRAW.from_pretrained, lambda folder: load_model(str(folder))):
        with pytest.raises(DrawError, match=r"expected model\.kernel to be .*, got 'fast'"):
            load(tmp_path)
