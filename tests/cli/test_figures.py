"""draw figure: every number makes its picture, from any model, or says what it needs."""

import json
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from draw.attention.window import filter_centres, filterbank, read_patch, write_patch
from draw.cli import _dispatch
from draw.cli.paper_figures import DEFAULTS
from draw.config.data import DataConfig
from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.model.pretrained import shipped_models
from draw.models.storage import export_model
from draw.runs.metrics import append_metrics
from draw.visualize.figures import EXAMPLE, window_figure
from draw.visualize.geometry import default_windows, make_window, window_geometry
from draw.visualize.sheet import to_pixels


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("figures")


@pytest.fixture(autouse=True)
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def pictures(place: Path) -> Path:
    folder = place / "pictures"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (10, 9), (20 * i, 255 - 20 * i, 90)).save(folder / f"{i:02}.png")
    return folder


def exported(place: Path, pictures: Path, name: str, **config: object) -> str:
    shape = {"rows": 9, "columns": 10, "channels": 3, "hidden_size": 6, "latent_size": 3}
    model = DRAW(DRAWConfig(**{**shape, "glimpses": 3, **config}))
    mode = "colour" if model.config.channels == 3 else "grey"
    size = (model.config.rows, model.config.columns)
    data = DataConfig(
        name="images", path=str(pictures), size=size, mode=mode, fit="stretch",
        cache_dir=str(place / "cache"),
    )  # fmt: skip
    export_model(place / name, model, data, {})
    return name


@pytest.fixture(scope="module")
def colour(place: Path, pictures: Path) -> str:
    return exported(place, pictures, "colour", read_size=2, write_size=3)


@pytest.fixture(scope="module")
def plain(place: Path, pictures: Path) -> str:
    """Grey, one step, no attention."""
    return exported(place, pictures, "plain", channels=1, glimpses=1, attention="none")


def made(number: int, *arguments: str) -> tuple[dict[str, object], np.ndarray]:
    """What a figure's JSON says, and its pixels."""
    _dispatch(["figure", str(number), *arguments, "--json", "result.json"])
    result = json.loads(Path("result.json").read_text())
    assert result["figure"] == number
    with Image.open(result["picture"]) as picture:
        return result, np.asarray(picture.convert("RGB")).astype(int)


# Figures from models


def test_every_figure_of_a_model_has_one_that_comes_with_the_package() -> None:
    assert {*DEFAULTS} == {5, 6, 7, 8, 9, 10, 12}
    assert {*DEFAULTS.values()} <= shipped_models().keys()


@pytest.mark.parametrize(("number", "model"), [(7, "mnist"), (10, "chars74k")])
def test_without_a_model_a_figure_is_of_its_default(
    number: int, model: str, place: Path, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    result, _ = made(number, "--n", "1")
    assert result["model"] == model
    told = capsys.readouterr().out
    assert ("this model was trained on chars74k" in told) == (model == "chars74k")


@pytest.mark.parametrize("number", [6, 7, 8, 9, 10, 12])
def test_any_model_makes_any_figure_and_words_say_what_it_is(
    number: int, colour: str, plain: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in (colour, plain):
        result, pixels = made(number, model, "--n", "1")
        assert result["picture"] == f"figure-{number}.png"
        assert result["data"] == "images"
        assert pixels.shape[0] > 50
        words = capsys.readouterr().out
        assert f"the paper's figure {number} is of" in words
        assert "trained on images" in words
        assert words.endswith(f"figure-{number}.png\n")


@pytest.mark.parametrize("number", [6, 7, 8])
def test_pixels_of_an_image_are_as_large_as_asked(number: int, colour: str) -> None:
    small, large = (
        made(number, colour, "--n", "4", "--scale", str(scale))[1].shape for scale in (8, 16)
    )
    assert large[0] - small[0] >= 8 * 9  # rows of an image, of one at least
    assert large[1] - small[1] >= 8 * 10


def test_the_same_seed_makes_the_same_figure(colour: str) -> None:
    first, again, other = (made(6, colour, "--n", "4", "--seed", seed) for seed in "112")
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_figure_6_is_what_sample_shows_with_the_nearest_beside(
    place: Path, pictures: Path, colour: str
) -> None:
    where = ["--data.path", str(pictures), "--data.cache-dir", str(place / "cache")]
    figure, _ = made(6, colour, "--n", "9", *where)
    assert len(figure["nearest"]["numbers"]) == 3
    _dispatch(["sample", colour, "--n", "9", "--nearest", "--json", "sample.json", *where])
    assert json.loads(Path("sample.json").read_text())["nearest"] == figure["nearest"]


def test_training_images_of_another_shape_are_refused_before_anything_is_drawn(
    place: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(place, pictures, "small", rows=6, read_size=2, write_size=3)
    values = json.loads((place / "small" / "config.json").read_text())
    values["data"]["size"] = [9, 10]
    (place / "small" / "config.json").write_text(json.dumps(values))
    monkeypatch.setattr(DRAW, "generate", lambda *_, **__: pytest.fail("drawn"))
    where = ["--data.path", str(pictures), "--data.cache-dir", str(place / "cache")]
    for command in (["figure", "6", "small"], ["sample", "small", "--nearest"]):
        with pytest.raises(DrawError, match=r"training images of \[3, 6, 10\].*of \[3, 9, 10\]"):
            _dispatch([*command, *where])


def test_pictures_of_another_temperature(colour: str) -> None:
    """At 0 all drawings are one; `draw.DRAW.generate` has the rest."""
    for temperature in ("0", "1"):
        told = ["--n", "2", "--scale", "1", "--temperature", temperature, "--json", "t.json"]
        _dispatch(["sample", colour, *told, "--out", f"{temperature}.png"])
        assert json.loads(Path("t.json").read_text())["temperature"] == float(temperature)
        _dispatch(["animate", colour, *told, "--out", f"{temperature}.gif"])
        drawn = json.loads(Path("t.json").read_text())
        assert drawn["temperature"] == float(temperature)
        two = drawn["write_windows"].values()
        assert all(first == second for first, second in two) == (temperature == "0")
    assert Path("0.png").read_bytes() != Path("1.png").read_bytes()


def test_figure_6_of_a_model_whose_images_are_not_here(
    place: Path, pictures: Path, colour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figure, pixels = made(6, colour, "--n", "9")
    assert "without the nearest training images: " in capsys.readouterr().out
    assert "nearest" not in figure
    where = ["--data.path", str(pictures), "--data.cache-dir", str(place / "cache")]
    assert pixels.shape[1] < made(6, colour, "--n", "9", *where)[1].shape[1]
    with pytest.raises(DrawError, match="elsewhere"):
        made(6, colour, "--data.path", "elsewhere")
    with pytest.raises(DrawError, match="with --nearest alone"):
        _dispatch(["sample", colour, "--data.path", str(pictures)])


def test_figure_7_puts_a_second_model_below(colour: str, plain: str) -> None:
    alone, short = made(7, colour, "--n", "2")
    both, tall = made(7, colour, "--n", "2", "--without", plain)
    assert len(tall) > 1.5 * len(short)
    assert both["write_windows"] == alone["write_windows"]
    assert np.shape(both["write_windows"]["g_x"]) == (2, 3)
    assert both["without"].startswith(plain)
    assert "write_windows" not in made(7, plain)[0]


def test_figure_8_counts(colour: str, capsys: pytest.CaptureFixture[str]) -> None:
    result, _ = made(8, colour, "--n", "30")
    assert result["halves"]["drawings"] == 30
    assert "of 30 drawings show two digits apart" in capsys.readouterr().out


def test_figure_11_needs_a_run(place: Path, colour: str) -> None:
    with pytest.raises(DrawError, match=r"expected a run folder with a metrics.jsonl.*got colour"):
        made(11, colour)
    run = place / "run"
    run.mkdir()
    config = {"preset": "tiny", "model": {"rows": 5, "columns": 5}, "data": {"name": "digits"}}
    (run / "run.json").write_text(json.dumps({"config": {**config, "train": {}}, "made": {}}))
    for step in (1, 2):
        append_metrics(
            run / "metrics.jsonl",
            {"kind": "train", "step": step, "images_seen": 8 * step, "bound": 9.0 - step},
        )
    result, _ = made(11, "run")
    assert (result["run"], result["lines"]) == ("run", 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["11"], "expected a run folder after the figure's number.*draw figure 11 runs/mnist"),
        (["7", "nowhere"], "there is no folder nowhere"),
        (["6", "colour", "--without", "plain"], "expected --without with figure 7, 10 alone.* 6"),
        (["8", "colour", "--filters", "3"], "expected --filters with figure 3 alone"),
        (
            ["11", "colour", "--scale", "3"],
            "expected --scale with figure 5, 6, .*, 12 alone",
        ),
        (["3", "--n", "3"], "expected --n with figure"),
        (["3", "--seed", "5"], "expected --seed with figure 6, 7, 8, 9, 10, 12 alone.* figure 3"),
        (["5", "--seed", "5"], "expected --seed with figure 6, .*, 12 alone"),
        (["11", "run", "--weights", "last"], "expected --weights with figure 5, .*, 12 alone"),
        (
            ["7", "colour", "--without", "plain", "--weights", "last"],
            "expected a run folder for --weights last .*got colour",
        ),
        (["7", "colour", "--data.path", "x"], "data.path.* with figure 5, 6, 9, 12 alone"),
        (["7", "colour", "--n", "0"], "at least 1, got 0"),
        (["8", "colour", "--n", "0"], "at least 1, got 0"),
        (["8", "colour", "--out", "a.gif"], r"ends in .png or .webp, got 'a.gif'"),
        (["3", "--out", "a.webp"], r"ends in .png, .svg or .pdf, got 'a.webp'"),
        (["3", "pictures/00.png", "--window", "1", "1", "0", "1"], "the last two above 0"),
        (["3", "--window", "1", "nan", "1", "1"], r"--window to be several, each 4 values.*nan"),
        (
            ["3", "--filters", "0"],
            "--filters to be None or a whole number of at least 1, got 0",
        ),
        (["3", "none.png"], "none.png: does not exist"),
        (["3", *["--window", "1", "1", "1", "1"] * 7], "expected 1 to 6 windows.*got 7"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    arguments: list[str], message: str, colour: str, plain: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path().iterdir()}
    with pytest.raises(DrawError, match=message):
        _dispatch(["figure", *arguments])
    assert {path: path.stat().st_mtime_ns for path in Path().iterdir()} == before


def test_help_teaches_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _dispatch(["figure", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for number in (3, 6, 7, 8, 9, 10, 11, 12):
        assert f" {number} " in text
    assert "runs/mnist --without" in text


# Figure 3


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    kept: list[Figure] = []

    def keep(figure: Figure, content: BinaryIO, format: str) -> None:  # noqa: A002
        kept.append(figure)
        content.write(format.encode())

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def test_figure_3_needs_nothing_and_says_what_it_shows() -> None:
    result, pixels = made(3)
    assert result["image"] == f"scikit-learn's digit {EXAMPLE}"
    assert len(result["windows"]) == 3
    assert pixels.shape[1] > 1500


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (2, 9)])
def test_figure_3_of_pictures_of_any_shape(size: tuple[int, int]) -> None:
    Image.new("RGB", size, (9, 90, 200)).save("odd.png")
    result, _ = made(3, "odd.png", "--filters", "1")
    assert result["filters"] == 1
    assert all(map(math.isfinite, result["windows"][0].values()))


def test_figure_3_reads_and_writes_as_the_model_does(tmp_path: Path, drawn: list[Figure]) -> None:
    image, window = torch.rand(1, 8, 12), make_window(4, 5.0, 3.0, 1.5, 0.8)
    window_geometry(image, [window, make_window(4, 5.0, 3.0, 1.0, 1.0)], tmp_path / "a.png")
    on_image, read, written = drawn[0].subfigs[1].axes[:3]
    one = window[None]
    patch = read_patch(image[None], one)
    back = write_patch(patch, one, 8, 12)[0]
    for axes, expected in ((on_image, image), (read, patch[0]), (written, back / back.max())):
        assert np.array_equal(axes.images[0].get_array(), to_pixels(expected))
    box = on_image.patches[0].get_path().get_extents()
    # Round the outermost pixels: 4 filters of stride 1.5 are 5.5 pixels; the top is cut off.
    assert (box.x0, box.x1, box.y1) == pytest.approx((2.25, 7.75, 5.75), abs=1e-6)
    assert 0.5 <= box.y0 < 0.75


def test_figure_3_marks_centre_stride_and_sigma(tmp_path: Path, drawn: list[Figure]) -> None:
    window_geometry(torch.rand(3, 20, 31), default_windows(20, 31), tmp_path / "a.png")
    axes = drawn[0].subfigs[0].axes[0]
    centres = [circle.center for circle in axes.patches]
    assert centres[4] == (16, 10.5)
    assert centres[0] == (11, 5.5)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["$a=1$", "$g_X$", "$A$"]
    assert {text.get_text() for text in axes.texts} >= {r"$\delta$", r"$\sigma$"}


def test_the_default_windows_are_the_papers_kinds() -> None:
    near, sharp, blurred = default_windows(28, 28, 12)
    assert near.delta < sharp.delta == blurred.delta == pytest.approx(28 / 12)
    assert sharp.sigma < near.sigma < blurred.sigma
    assert {float(window.g_x) for window in (near, sharp, blurred)} == {14.5}
    # Also where the image is not square, no filter is outside.
    wide = default_windows(30, 50, 10)[1]
    assert filter_centres(wide.g_y, wide.delta, 10)[[0, -1]].tolist() == [2, 29]


def test_lines_leave_large_pictures_visible(tmp_path: Path, drawn: list[Figure]) -> None:
    image = torch.rand(1, 600, 700)
    window_geometry(image, [make_window(12, 350.0, 300.0, 20.0, 200.0)], tmp_path / "a.png")
    widths = [axes.patches[0].get_linewidth() for axes in drawn[0].subfigs[1].axes[:1]]
    assert 1 < widths[0] < 10


def test_the_filters_that_the_figure_shows_are_those_that_read() -> None:
    g, delta = torch.tensor(9.0), torch.tensor(2.0)
    centres = filter_centres(g, delta, 5)
    assert centres.tolist() == [5, 7, 9, 11, 13]
    assert (filterbank(g, delta, torch.tensor(0.1), 5, 20).argmax(-1) + 1).tolist() == [
        5, 7, 9, 11, 13
    ]  # fmt: skip


def test_a_window_figure_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(DrawError, match="No space left"):
        window_figure(None, (), 12, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
