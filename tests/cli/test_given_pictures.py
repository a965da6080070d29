"""The verbs that take somebody's own pictures, and the size of the pictures that verbs make."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import draw
from draw import DRAW, DRAWConfig
from draw.config.data import DataConfig
from draw.errors import DrawError
from draw.files import address_advice
from running import draw_command

TREATMENTS = {
    "ground": DataConfig("images", background="black"),
    "inversion": DataConfig("omniglot"),
    "fit": DataConfig("images", background="#808080", fit="pad"),
}
"""Configs of training images that come otherwise than a picture as it is."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, one of them told the class, and pictures of other sizes than theirs."""
    folder = tmp_path_factory.mktemp("pictures")
    sizes = {
        "rows": 9, "columns": 7, "channels": 3, "glimpses": 3, "hidden_size": 8, "latent_size": 3,
        "read_size": 2, "write_size": 2,
    }  # fmt: skip
    torch.manual_seed(0)
    DRAW(DRAWConfig(**sizes)).save_pretrained(folder / "plain")
    DRAW(DRAWConfig(**sizes | {"channels": 1})).save_pretrained(folder / "grey")
    told = DRAW(DRAWConfig(**sizes, condition="class", classes=4))
    with torch.no_grad():
        for parameter in told.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    told.save_pretrained(folder / "told")
    random = np.random.default_rng(0)
    for name, shape in (("photo.jpg", (40, 60, 3)), ("grey.png", (9, 7))):
        Image.fromarray(random.integers(0, 255, shape, np.uint8)).save(folder / name)
    return folder


def test_a_photo_is_drawn_anew(place: Path) -> None:
    command = ["reconstruct", "plain", "photo.jpg", "grey.png", "--json", "r.json"]
    draw_command(*command, "--out", "r.png", cwd=place)
    values = json.loads((place / "r.json").read_text())
    assert values["split"] is None
    assert [image["of"] for image in values["images"]] == ["photo.jpg", "grey.png"]
    for image in values["images"]:
        assert image["bound"] == pytest.approx(image["reconstruction"] + sum(image["kl"]))
    cropped = (place / "r.png").read_bytes()
    draw_command(*command, "--out", "s.png", "--fit", "stretch", cwd=place)
    assert (place / "s.png").read_bytes() != cropped
    draw_command(*command, "--out", "r.gif", cwd=place)
    with Image.open(place / "r.gif") as animation:
        assert animation.n_frames == 4


def test_the_class_of_a_photo_is_told(place: Path) -> None:
    bounds = []
    for label in ("0", "3"):
        command = ["reconstruct", "told", "photo.jpg", "--label", label, "--json", "-"]
        told = json.loads(draw_command(*command, cwd=place).stdout)
        bounds.append(told["images"][0]["bound"])
    assert bounds[0] != bounds[1]
    told = draw_command("reconstruct", "told", "photo.jpg", "--label", "4", cwd=place, check=1)
    assert "from 0 to 3" in told.stderr


@pytest.mark.parametrize("data", TREATMENTS.values(), ids=TREATMENTS)
def test_pictures_are_treated_as_in_training(place: Path, tmp_path: Path, data: DataConfig) -> None:
    """A white bar on a transparent ground, wider than high, as Python's preprocess has it."""
    pixels = np.zeros((18, 40, 4), np.uint8)
    pixels[4:9, 2:30] = 255
    Image.fromarray(pixels).save(tmp_path / "bar.png")
    model = DRAW.from_pretrained(place / "grey")
    model.data = data
    model.save_pretrained(tmp_path / "model")
    model = draw.load(tmp_path / "model")
    x = model.preprocess(tmp_path / "bar.png")
    drawn = model(x, model.noise_for(1, 0))
    command = ["reconstruct", "model", "bar.png", "--json", "-"]
    (told,) = json.loads(draw_command(*command, cwd=tmp_path).stdout)["images"]
    assert told["reconstruction"] == pytest.approx(float(drawn.reconstruction), rel=1e-5)
    Image.new("L", (40, 18), 255).save(tmp_path / "all.png")  # bars of the fit, if any, are unknown
    known = torch.from_numpy(fit_mask(data.fit or "crop"))
    found = model.complete(x, known, 5, particles=2, rounds=0)
    command = ["complete", "model", "bar.png", "--mask", "all.png", "--particles", "2"]
    told = json.loads(draw_command(*command, "--rounds", "0", "--json", "-", cwd=tmp_path).stdout)
    assert told["known_pixels"] == int(known.sum())
    assert told["known_nats"] == pytest.approx(float(found.known_nats[0]), rel=1e-5)


def fit_mask(fit: str) -> np.ndarray:
    """Where a picture of 18 x 40 pixels comes to lie in an image of 9 x 7."""
    mask = np.ones((9, 7), bool)
    if fit == "pad":
        mask[:3] = mask[6:] = False
    return mask


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photo.jpg", "--n", "3"], "expected pictures, or --n, --split and --data."),
        (["photo.jpg", "--split", "train"], "expected pictures, or --n, --split and --data."),
        (["photo.jpg", "--data.path", "x"], "expected pictures, or --n, --split and --data."),
        (["--fit", "pad"], "expected --fit and --label with pictures alone"),
        (["--label", "1"], "expected --fit and --label with pictures alone"),
        (["nowhere.jpg"], "nowhere.jpg"),
        (["r.txt"], "r.txt"),
    ],
    ids=" ".join,
)
def test_what_has_no_effect_on_pictures_is_refused(
    place: Path, arguments: list[str], message: str
) -> None:
    (place / "r.txt").write_text("no picture")
    done = draw_command("reconstruct", "plain", *arguments, "--out", "no.png", cwd=place, check=1)
    assert message in done.stderr
    assert not (place / "no.png").exists()


COMMANDS = {
    "sample": ["plain", "--n", "4", "--out", "x.png"],
    "animate": ["plain", "--n", "4", "--out", "x.gif"],
    "reconstruct": ["plain", "photo.jpg", "--out", "x.png"],
    "complete": ["plain", "photo.jpg", "--particles", "2", "--rounds", "0", "--out", "x.png"],
}


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_scale_of_a_picture_can_be_chosen(verb: str, place: Path) -> None:
    sizes = []
    for scale in ("3", "12", "24"):
        draw_command(verb, *COMMANDS[verb], "--scale", scale, cwd=place)
        with Image.open(place / COMMANDS[verb][-1]) as picture:
            sizes.append(picture.height)
    one, two = sizes[1] - sizes[0], sizes[2] - sizes[1]
    rows = one / 9 / 9  # of images of nine rows
    assert rows == pytest.approx(round(rows), abs=0.1)
    assert two == pytest.approx(12 / 9 * one, abs=3)
    for bad in ("0", "33"):
        done = draw_command(verb, *COMMANDS[verb], "--scale", bad, cwd=place, check=1)
        assert "--scale to be None or a whole number" in done.stderr


WEB = "https://host/a.png"
ADDRESSES = {
    "a picture": ["complete", "plain", WEB],
    "pictures": ["reconstruct", "plain", "grey.png", WEB],
    "a mask": ["complete", "plain", "grey.png", "--mask", WEB],
    "a model": ["sample", WEB],
    "a file to write": ["sample", "plain", "--out", WEB],
    "a result": ["sample", "plain", f"--json={WEB}"],
    "images": ["data", "check", "--data.path", WEB],
    "a cache": ["data", "check", "--data.path", ".", "--data.cache-dir", WEB],
    "a copy": ["data", "convert", WEB, "a.npz"],
    "a run": ["train", "--resume", WEB],
    "a config": ["train", "--config", WEB],
    "images of training": ["train", "images", "--data.path", WEB],
    "a start": ["train", "digits", "--train.start-from", WEB],
    "images of the studio": ["studio", "--data.path", f"MINE={WEB}"],
    "runs of the studio": ["studio", "--runs", WEB],
}


@pytest.mark.parametrize("command", ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_is_no_path(command: list[str], place: Path) -> None:
    """Not missing, nor misspelt; and nothing is written into a folder of its name."""
    refused = draw_command(*command, cwd=place, check=1)
    expected = f"got the address {WEB}; download it first (and unpack it), then pass its path"
    assert expected in refused.stderr
    assert not list(place.glob("https*"))


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("http://host/a.png", "download it first (and unpack it), then pass its path"),
        ("s3://bucket/run", "download it first (and unpack it), then pass its path"),
        ("hf://datasets/owner/name", "of the Hugging Face Hub by owner/name"),
        ("https://huggingface.co/owner/name", "of the Hugging Face Hub by owner/name"),
        ("file:///home/a.png", "pass its path alone"),
    ],
)
def test_what_to_do_with_an_address(address: str, advice: str) -> None:
    assert address_advice(address).endswith(advice)
    assert address_advice(Path(address)).endswith(advice)  # with one slash
    with pytest.raises(DrawError, match=re.escape(f"expected a model, got the address {address}")):
        draw.load(address)
    with pytest.raises(DrawError, match=f"is an address, expected a file; .*{re.escape(advice)}"):
        DRAW(DRAWConfig()).preprocess(Path(address))


def test_paths_and_names_are_no_addresses() -> None:
    for path in ("owner/name", "./http://host", "C:/a.png", "a:b", "/data/a:/b", "http:"):
        assert address_advice(path) is None
