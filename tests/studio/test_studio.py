"""What the studio computes and lets through, without its page."""

import base64
import dataclasses
import io
import json
import os
import shutil
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from draw.attention import SAMPLERS
from draw.config.data import DataConfig
from draw.errors import DrawError
from draw.model.convnet import Convnet
from draw.model.pretrained import shipped_models
from draw.models.kinds import run_config
from draw.models.storage import load_model
from draw.runs.paths import write_run_file
from draw.studio import (
    exploration,
    generation,
    inpainting,
    observation,
    recognition,
    reconstruction,
)
from draw.studio.class_names import class_words
from draw.studio.downloads import save_drawings, save_reconstruction
from draw.studio.exploration import Ends
from draw.studio.folders import run_folders
from draw.studio.given_images import given_images
from draw.studio.guard import LOCAL_NAMES, LONGEST_BODY, refusal_of
from draw.studio.image_source import examples, training_images
from draw.studio.models import Catalogue, Shelf, describe
from draw.studio.numbers import real, whole
from draw.studio.page.generate import _finished
from draw.studio.page.sources import FITS, UPLOAD, choose_image
from draw.studio.pictures import PNG_ADDRESS, PictureTarget, centre_ink, from_page, from_upload
from draw.studio.player import place_windows, sheet
from draw.studio.reach import Reach
from draw.visualize import window_outlines
from running import draw_command
from studio_runs import DRAWS, LOOKS, SLOW, line, make_run, make_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_runs(tmp_path_factory.mktemp("studio") / "runs")


@pytest.fixture(scope="module")
def shelf(runs: Path) -> Shelf:
    return Shelf(Catalogue(None, runs))


def pixels_of(address: str) -> np.ndarray:
    data = base64.b64decode(address.removeprefix(PNG_ADDRESS))
    return np.asarray(Image.open(io.BytesIO(data)))


def page(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return PNG_ADDRESS + base64.b64encode(file.getvalue()).decode()


class TestModels:
    def test_runs_by_name_and_kind(self, runs):
        catalogue, ours = Catalogue(None, runs), set(shipped_models())
        drawing, looking = (set(catalogue.names(draws=draws)) for draws in (True, False))
        assert drawing - ours == {"runs/draws", "runs/colour", "runs/slow"}
        assert looking - ours == {"runs/looks"}
        neither = {name for name in ours if isinstance(load_model(name).model, Convnet)}
        assert ours - neither <= drawing | looking

    def test_the_papers_model_comes_first(self, runs):
        assert Catalogue(None, runs).names(draws=True)[0] == "mnist"

    def test_a_given_model_comes_first(self, runs):
        given = Catalogue(str(runs / "colour" / "best"), runs)
        assert given.names(draws=True)[0] == str(runs / "colour" / "best")

    def test_a_model_that_is_none_is_refused_at_the_start(self, runs):
        with pytest.raises(DrawError, match="there is no folder nothing-of-the-kind"):
            Catalogue("nothing-of-the-kind", runs)

    @pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "runs/draws/best", None])
    def test_a_path_is_no_name(self, shelf, runs, name):
        with (
            pytest.raises(DrawError, match=r"expected one of the models .*runs/draws"),
            shelf.use(name),
        ):
            pass

    def test_without_any_it_says_what_to_do(self, tmp_path, monkeypatch):
        monkeypatch.setattr("draw.model.pretrained.WEIGHTS", tmp_path)
        with pytest.raises(DrawError, match="draw train digits takes a minute"):
            Catalogue(None, tmp_path / "none")["mnist"]

    def test_newer_weights_are_loaded_and_few_stay(self, tmp_path):
        root = tmp_path / "runs"
        for name in ("a", "b", "c"):
            make_run(root / name, DRAWS, DataConfig(name="digits"))
        shelf = Shelf(Catalogue(None, root), most=2)
        with shelf.use("runs/a") as first, shelf.use("runs/b"):
            pass
        with shelf.use("runs/a") as again:
            assert again is first
        make_run_anew = root / "a" / "best" / "model.safetensors"
        content = make_run_anew.read_bytes()
        make_run_anew.unlink()
        make_run_anew.write_bytes(content)
        with shelf.use("runs/a") as newer, shelf.use("runs/c"):
            assert newer is not first
        assert set(shelf._held) == {"runs/a", "runs/c"}

    def test_a_deleted_run_is_told(self, tmp_path):
        folder = make_run(tmp_path / "runs" / "a", DRAWS, DataConfig(name="digits"))
        shelf = Shelf(Catalogue(None, tmp_path / "runs"))
        with shelf.use("runs/a") as loaded:
            assert describe(loaded).startswith("28×28 pixels, grey, in 4 steps")
        shutil.rmtree(folder)
        with pytest.raises(DrawError), shelf.use("runs/a"):
            pass


class TestFolders:
    def test_links_out_of_a_run_are_not_followed(self, tmp_path):
        folder = make_run(tmp_path / "runs" / "a", DRAWS, DataConfig(name="digits"))
        secret = tmp_path / "secret.jsonl"
        secret.write_text(line("train", 7, DRAWS))
        (folder / "metrics.jsonl").unlink()
        (folder / "metrics.jsonl").symlink_to(secret)
        with pytest.raises(DrawError, match="a link that leads out of its folder"):
            observation.read(tmp_path / "runs", "runs/a")
        shutil.rmtree(folder / "samples")
        outside = tmp_path / "samples"
        outside.mkdir()
        Image.new("L", (3, 3)).save(outside / "step-00000001.png")
        (folder / "samples").symlink_to(outside)
        (folder / "metrics.jsonl").unlink()
        assert observation.picture_of(observation.read(tmp_path / "runs", "runs/a")) is None

    def test_a_link_in_the_chosen_folder_is_chosen_and_one_below_is_not(self, tmp_path):
        elsewhere = make_run(tmp_path / "disk" / "a", DRAWS, DataConfig(name="digits"))
        (tmp_path / "runs" / "inner").mkdir(parents=True)
        (tmp_path / "runs" / "linked").symlink_to(elsewhere)
        (tmp_path / "runs" / "inner" / "deep").symlink_to(elsewhere)
        assert list(run_folders(tmp_path / "runs")) == ["runs/linked"]


class TestNumbers:
    @pytest.mark.parametrize("value", [None, float("nan"), "4", True, float("inf"), -1, 65])
    def test_what_is_no_number_in_range_is_told(self, value):
        with pytest.raises(DrawError, match="expected the seed to be a number from 0 to 64, got"):
            whole("the seed", value, 0, 64)

    def test_a_fraction_is_not_whole(self):
        with pytest.raises(DrawError, match=r"whole number, got 1\.5"):
            whole("the seed", 1.5, 0, 64)
        assert real("it", 1.5, 0.0, 64.0) == 1.5


class TestGenerating:
    def test_parts_are_the_whole(self, shelf):
        asked = generation.request("runs/draws", 7, 3, 0.8)
        shows = list(generation.generate(shelf, asked))
        assert [sum(part["count"] for part in show.parts) for show in shows] == [4, 7]
        drawn = generation.trajectory(shelf, asked)
        last = shows[-1]
        made = np.concatenate([pixels_of(part["sheet"]) for part in last.parts])
        assert (made == pixels_of(sheet(drawn.images))).all()
        expected = place_windows(drawn.write_windows, 28, 28)
        for name, values in expected["numbers"].items():
            got = [row for part in last.parts for row in part["write"]["numbers"][name]]
            np.testing.assert_allclose(got, values, rtol=1e-3)
        assert [*expected["numbers"]] == ["g_x", "g_y", "delta", "sigma", "gamma"]
        got = [row for part in last.parts for row in part["write"]["centres"]]
        np.testing.assert_allclose(got, expected["centres"], rtol=1e-3)
        json.loads(last.to_json())

    def test_outlines_are_those_of_the_pictures(self, shelf):
        drawn = generation.trajectory(shelf, generation.request("runs/draws", 2, 0, 1))
        sent = place_windows(drawn.write_windows, 28, 28)["outlines"][1][3]
        (papers,) = window_outlines(drawn.write_windows[3, 1:2], 28, 28, 16)
        np.testing.assert_allclose(sent["frames"], np.array(papers.frames) / 16, atol=1e-3)
        assert sent["lines"] == pytest.approx([papers.line_widths[0] / 16], abs=1e-3)

    def test_a_sheet_has_a_row_an_image_and_a_column_a_step(self):
        images = torch.arange(2 * 3 * 4, dtype=torch.float32).reshape(2, 3, 1, 2, 2) / 24
        pixels = pixels_of(sheet(images))
        assert pixels.shape == (6, 4)
        assert pixels[4, 2] == round(float(images[1, 2, 0, 0, 0]) * 255)
        assert pixels_of(sheet(images.expand(2, 3, 3, 2, 2))).shape == (6, 4, 3)

    def test_without_a_class_guidance_is_as_learned(self, tmp_path):
        told = dataclasses.replace(DRAWS, condition="class", label_dropout=0.1)
        make_run(tmp_path / "runs" / "told", told, DataConfig("images"))
        shelf = Shelf(Catalogue(None, tmp_path / "runs"))
        plain, guided = (
            generation.request("runs/told", 2, 1, 1, generation.NONE, guidance)
            for guidance in (1, 3)
        )
        assert plain == guided
        (show,) = generation.generate(shelf, guided)
        assert (show.origin["guidance"], show.origin["labels"]) == (1, [None, None])
        assert generation.request("runs/told", 2, 1, 1, "7", 3).guidance == 3
        words = ["each in turn", "none", *map(str, range(10))]
        assert generation.class_choices(shelf, "runs/told") == [(word, word) for word in words]

    @pytest.mark.parametrize(
        ("choice", "label"), [("each in turn", None), (None, None), ("none", -1), ("12", 12)]
    )
    def test_a_class_is_chosen_in_words(self, choice, label):
        assert generation.request("a", 1, 1, 1, choice).label == label

    @pytest.mark.parametrize("choice", ["seven", "-2", "1.5", "²", "9" * 999, True])
    def test_what_is_no_class_is_told(self, choice):
        with pytest.raises(DrawError, match="expected the class to be"):
            generation.request("a", 1, 1, 1, choice)

    @pytest.mark.parametrize(
        ("kind", "start"),
        [("png", b"\x89PNG"), ("strip", b"\x89PNG"), ("gif", b"GIF8"), ("webp", b"RIFF")],
    )
    def test_files(self, shelf, kind, start):
        drawn = generation.trajectory(shelf, generation.request("runs/colour", 2, 0, 1))
        path = save_drawings(drawn, "../../a b", kind)
        assert path.read_bytes().startswith(start)
        assert "/" not in path.stem
        assert " " not in path.name


class TestClassNames:
    """Folders that somebody's pictures were in, wherever a class is chosen or told."""

    NAMES: ClassVar = {"0": "0", "1": "dog", "2": "a*b_<i>", "3": "x" * 99}

    @pytest.fixture
    def named(self, tmp_path: Path) -> Shelf:
        told = dataclasses.replace(DRAWS, condition="class", classes=5)
        looks = dataclasses.replace(LOOKS, classes=5)
        for name, config in {"told": told, "looks": looks}.items():
            run = tmp_path / "runs" / name
            make_run(run, config, DataConfig("images"))
            write_run_file(run, run_config(run), {"classes": self.NAMES})
        return Shelf(Catalogue(None, tmp_path / "runs"))

    def test_they_are_chosen_by_names_and_mean_numbers(self, named):
        chosen = generation.class_choices(named, "runs/told")
        words = ["0", "1 dog", "2 a*b_<i>", f"3 {'x' * 40}…", "4"]
        assert chosen == [("each in turn",) * 2, *zip(words, "01234", strict=True)]
        assert generation.class_choices(named, "runs/looks") == [("each in turn",) * 2]

    def test_an_exported_model_has_them_too(self, named, tmp_path):
        with named.use("runs/told") as loaded:
            loaded.model.save_pretrained(tmp_path / "saved")
        shelf = Shelf(Catalogue(str(tmp_path / "saved"), tmp_path / "none"))
        (name,) = {*shelf.catalogue.choices()} - {*shipped_models()}
        assert class_words(shelf, name)(1) == "1 dog"

    def test_what_is_drawn_is_told_by_name(self, named):
        words = class_words(named, "runs/told")
        asked = generation.request("runs/told", 2, 1, 1, "1")
        assert _finished(asked, words).startswith("2 images of class 1 dog by")
        escaped = _finished(dataclasses.replace(asked, label=2), words)
        assert r"of class 2 a\*b\_\<i\> by" in escaped  # no Markdown, no HTML

    def test_interpolations_are_told_by_name(self, named):
        show = exploration.interpolate_seeds(named, "runs/told", Ends(3, 4, (0, 1)))
        assert show.captions[0] == "seed 3, class 0"
        assert show.captions[-1] == "seed 4, class 1 dog"

    def test_reconstructions_and_completions_are_told_by_name(self, named):
        with named.use("runs/told") as loaded:
            image = np.zeros(loaded.model.config.image_shape, np.uint8)
        made = reconstruction.reconstruct(named, "runs/told", image, label=1)
        assert "told that the image is of class 1 dog." in reconstruction.describe(made)
        _, words = inpainting.complete(named, "runs/told", image, "left", label=1)
        assert "told that the image is of class 1 dog." in words

    def test_answers_are_told_by_name(self, named):
        with named.use("runs/looks") as loaded:
            image = np.zeros(loaded.model.config.image_shape, np.uint8)
        said = recognition.classify(named, "runs/looks", image, label=3)
        assert said.show.names[:3] == ("0", "1 dog", "2 a*b_<i>")
        wrong = dataclasses.replace(said, answer=1, label=2)
        words = recognition.describe(wrong)
        assert "It says **1 dog** with" in words
        assert words.endswith(r"but it is a 2 a\*b\_\<i\>.")


class TestPictures:
    wanted = PictureTarget((28, 28), 1)

    @pytest.mark.parametrize("address", [None, "", page(np.zeros((280, 280), np.uint8))])
    def test_an_empty_page_is_told(self, address):
        with pytest.raises(DrawError, match="The page is empty: draw something"):
            from_page(address, self.wanted)

    @pytest.mark.parametrize("address", ["/etc/passwd", PNG_ADDRESS + "#", "x" * 3_000_000])
    def test_what_is_no_drawing_is_refused(self, address):
        with pytest.raises(DrawError, match="expected a drawing as a PNG"):
            from_page(address, self.wanted)

    def test_a_drawing_that_unpacks_to_too_much_is_refused(self):
        with pytest.raises(DrawError, match=r"at most 1 megapixels, got 2000×2000"):
            from_page(page(np.ones((2000, 2000), np.uint8)), self.wanted)

    def test_ink_is_centred_as_in_mnist(self):
        drawn = np.zeros((280, 280), np.uint8)
        drawn[10:150, 200:240] = 255
        made = from_page(page(drawn), dataclasses.replace(self.wanted, centring=True))[0]
        rows, columns = np.flatnonzero(made.any(1)), np.flatnonzero(made.any(0))
        assert (rows[0], rows[-1]) == (4, 23)
        assert abs(columns.mean() - 13.5) <= 0.5
        with pytest.raises(DrawError, match="empty"):
            centre_ink(np.zeros((1, 5, 5), np.uint8), (28, 28))

    def test_40_megapixels_are_refused_unread(self, tmp_path):
        Image.new("1", (8000, 5000)).save(tmp_path / "large.png")
        with pytest.raises(DrawError, match=r"24 megapixels, got 8000×5000 \(40\.0 megapixels\)"):
            from_upload(tmp_path / "large.png", self.wanted)

    def test_text_named_png_is_refused(self, tmp_path):
        (tmp_path / "words.png").write_text("hello")
        with pytest.raises(DrawError, match=r"words\.png: is no picture of a known format"):
            from_upload(tmp_path / "words.png", self.wanted)
        with pytest.raises(DrawError, match="got no file"):
            from_upload(None, self.wanted)

    def test_grey_paper_becomes_black_and_ink_white(self, tmp_path):
        paper = np.random.default_rng(0).integers(150, 200, (80, 60)).astype(np.uint8)
        paper[20:60, 25:35] = 40
        Image.fromarray(paper).save(tmp_path / "photo.png")
        wanted = dataclasses.replace(self.wanted, on_paper=True, fit="stretch")
        made = from_upload(tmp_path / "photo.png", wanted)[0]
        assert (made[:5] == 0).mean() > 0.98
        assert made[14, 14] == 255

    @pytest.mark.parametrize(
        ("data", "on_paper", "ground"),
        [
            (DataConfig("images", background="black"), False, 0),
            (DataConfig("omniglot"), False, 0),
            (DataConfig("images"), False, 255),
            (DataConfig("images", background="black"), True, 0),  # of paper that is white
        ],
    )
    def test_an_upload_is_treated_as_in_training(
        self, shelf, tmp_path, monkeypatch, data, on_paper, ground
    ):
        pixels = np.zeros((28, 28, 2), np.uint8)
        pixels[10:14, 10:14] = (128, 255)
        Image.fromarray(pixels).save(tmp_path / "drawing.png")
        with shelf.use("runs/draws") as loaded:
            monkeypatch.setattr(loaded.model, "data", data)
        fields = (UPLOAD, None, 1, None, True, tmp_path / "drawing.png", next(iter(FITS)), on_paper)
        chosen = choose_image(shelf, "runs/draws", self.wanted, *fields)
        assert chosen.pixels[0, 0, 0] == ground
        assert chosen.pixels[0, 12, 12] == (255 if on_paper else pytest.approx(128, abs=1))


class TestReconstructing:
    def test_costs_add_up_to_the_bound(self, shelf):
        with shelf.use("runs/draws") as loaded:
            found = examples(loaded)
            image = found.images.images[3]
            model = loaded.drawing
        made = reconstruction.reconstruct(shelf, "runs/draws", image, seed=5)
        part = made.show.parts[0]
        assert part["costs"][-1] + sum(part["kl"]) == pytest.approx(made.bound, rel=1e-3)
        expected = model(made.image, model.noise_for(1, 5))
        assert made.bound == pytest.approx(float(expected.bound))
        assert set(np.unique(pixels_of(part["originals"]))) <= {0, 255}, "drawn as 0 or 1"
        assert "bounds -log p(x)" in reconstruction.describe(made)
        grey = dataclasses.replace(made, likelihood=False)
        assert "cross-entropy" in reconstruction.describe(grey)
        saved = save_reconstruction(made.image, made.trajectory, "r", "gif")
        assert saved.read_bytes().startswith(b"GIF8")

    def test_only_grey_values_are_drawn_as_black_or_white_and_said_to_be(self, shelf):
        with shelf.use("runs/draws") as loaded:
            grey = examples(loaded).images.images[3]
        black_or_white = np.where(grey > 127, 255, 0).astype(np.uint8)
        for image, drawn in ((grey, True), (black_or_white, False)):
            made = reconstruction.reconstruct(shelf, "runs/draws", image)
            assert made.dynamic is drawn
            assert ("drawn as black or white first" in reconstruction.describe(made)) is drawn
        assert np.array_equal(made.image.numpy()[0] * 255, black_or_white)

    def test_without_its_own_images_digits_are_placed_as_they_are(self, shelf):
        with shelf.use("runs/draws") as loaded:
            elsewhere = dataclasses.replace(loaded.data, name="mnist")
            found = examples(dataclasses.replace(loaded, data=elsewhere))
        ink = found.images.images.max(1) > 0
        rows = ink.any(2)
        assert not rows[:, 0].any(), "MNIST's digits do not touch the border"
        assert (rows.sum(1) <= 20).all()
        assert "scikit-learn" in found.note

    def test_images_from_a_folder_that_is_given(self, runs, tmp_path):
        for k in range(30):
            pixels = np.full((12, 10, 3), 8 * k, np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{k}.png")
        shelf = Shelf(Catalogue(None, runs), given=given_images([f"mine={tmp_path}"]))
        with shelf.use("runs/colour") as loaded:
            assert examples(loaded, choice=shelf.images()).note == "from mine"
            assert training_images(loaded, shelf.images()).images.count == 24
        with shelf.use("runs/draws") as loaded:
            note = examples(loaded, choice=shelf.images()).note
            assert note == "from digits, binarized", "its own are here"

    def test_a_folder_with_images_of_another_kind_is_not_the_end(self, shelf, tmp_path):
        for k in range(30):
            Image.fromarray(np.full((28, 28), 8 * k, np.uint8)).save(tmp_path / f"{k}.png")
        with shelf.use("runs/draws") as loaded:
            data = dataclasses.replace(loaded.data, name="binarized_mnist", path=str(tmp_path))
            found = examples(dataclasses.replace(loaded, data=data))
        assert "scikit-learn's digits" in found.note
        assert "expected binarized_mnist to be binary" in found.note

    def test_8_bit_pixels_have_bits(self, shelf):
        pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 10)).astype(np.uint8)
        made = reconstruction.reconstruct(shelf, "runs/colour", pixels)
        assert "bits for each number" in reconstruction.describe(made)

    def test_without_test_images_it_says_so(self, shelf):
        with shelf.use("runs/colour") as loaded, pytest.raises(DrawError, match="draw or upload"):
            examples(loaded)


class TestClassifying:
    def test_probabilities_windows_and_what_is_seen(self, shelf):
        with shelf.use("runs/looks") as loaded:
            found = examples(loaded)
        assert "scikit-learn" in found.note
        assert found.images.image_shape == (1, 100, 100)
        label = int(found.images.labels[0])
        said = recognition.classify(shelf, "runs/looks", found.images.images[0], label)
        part = said.show.parts[0]
        assert np.array(part["probabilities"]).shape == (3, 10)
        np.testing.assert_allclose(np.sum(part["probabilities"], 1), 1, atol=1e-3)
        assert pixels_of(part["patches"]).shape == (4, 12)
        assert f"**{said.answer}**" in recognition.describe(said)

    @pytest.mark.parametrize("attention", SAMPLERS)
    def test_what_is_seen_is_what_each_window_reads(self, tmp_path, attention):
        model = dataclasses.replace(LOOKS, rows=20, columns=24, attention=attention)
        several = dataclasses.replace(model, read_heads=2)
        for name, config in {"one": model, "two": several}.items():
            make_run(tmp_path / "runs" / name, config, DataConfig("images"))
        shelf = Shelf(Catalogue(None, tmp_path / "runs"))
        image = np.random.default_rng(0).integers(0, 256, (1, 20, 24)).astype(np.uint8)
        read = []
        with shelf.use("runs/one") as loaded:
            torch.nn.init.normal_(loaded.classifier.read_window.weight, std=0.3)
            loaded.classifier.lstm.register_forward_pre_hook(lambda _, given: read.append(given[0]))
        part = recognition.classify(shelf, "runs/one", image).show.parts[0]
        gamma = torch.tensor(part["read"]["numbers"]["gamma"][0])
        seen = (torch.cat(read) / gamma[:, None]).unflatten(1, (1, 1, 4, 4))
        shown, expected = pixels_of(part["patches"]), pixels_of(sheet(seen))
        assert np.abs(shown.astype(int) - expected).max() <= 1
        part = recognition.classify(shelf, "runs/two", image).show.parts[0]
        assert "patches" not in part, "two windows have no one patch"
        assert [len(each) for each in part["read"]["centres"][0]] == [2, 2, 2]

    @pytest.mark.parametrize("clutter", [True, False])
    def test_a_digit_is_laid_on_the_page(self, shelf, clutter):
        digit = np.zeros((1, 28, 28), np.uint8)
        digit[:, 4:24, 10:18] = 255
        with shelf.use("runs/looks") as loaded:
            first, again, other = (
                recognition.lay_digit(loaded, digit, clutter, seed) for seed in (1, 1, 2)
            )
        assert (first == again).all()
        assert (first != other).any()
        assert first.shape == (1, 100, 100)
        assert ((first > 0).sum() > 160) == clutter

    @pytest.mark.parametrize(
        ("sides", "room"),
        [((100, 100), True), ((28, 40), True), ((28, 28), False), ((20, 60), False)],
    )
    def test_a_digit_is_laid_where_there_is_room(self, sides, room):
        rows, columns = sides
        config = dataclasses.replace(LOOKS, rows=rows, columns=columns)
        assert recognition.has_room(config) is room

    def test_only_a_model_of_cluttered_digits_has_pieces_of_others(self, shelf, tmp_path):
        make_run(tmp_path / "runs" / "plain", LOOKS, DataConfig("images"))
        plain = Shelf(Catalogue(None, tmp_path / "runs"))
        assert recognition.clutters(shelf, "runs/looks")
        assert not recognition.clutters(plain, "runs/plain")
        assert not recognition.clutters(plain, None)

    def test_a_model_that_draws_is_told(self, shelf):
        with pytest.raises(DrawError, match="expected a classifier"):
            recognition.classify(shelf, "runs/draws", np.zeros((1, 28, 28), np.uint8))


class TestExploring:
    def test_between_keeps_ends_and_length(self):
        first, second = torch.randn(5, 20), torch.randn(5, 20)
        codes = exploration.between(first, second, 7)
        torch.testing.assert_close(codes[:, 0], first)
        torch.testing.assert_close(codes[:, -1], second)
        lengths = codes.transpose(0, 1).flatten(1).norm(dim=1)
        assert lengths.min() > 0.9 * min(first.norm(), second.norm())
        torch.testing.assert_close(exploration.between(first, first, 3)[:, 1], first)

    def test_the_ends_are_the_seeds_drawings(self, shelf):
        show = exploration.interpolate_seeds(shelf, "runs/draws", Ends(1, 2))
        drawn = generation.trajectory(shelf, generation.request("runs/draws", 1, 1, 1))
        first = pixels_of(show.parts[0]["sheet"])[:28].astype(int)
        assert np.abs(first - pixels_of(sheet(drawn.images))).max() <= 1
        assert len(show.captions) == exploration.BETWEEN

    def test_between_images(self, shelf):
        show = exploration.interpolate_images(shelf, "runs/draws", 1, 2)
        assert show.captions[0] == "image 1"
        with pytest.raises(DrawError, match="expected test images from 1 to"):
            exploration.interpolate_images(shelf, "runs/draws", 1, 499)

    def test_any_images_are_there(self, shelf):
        with shelf.use("runs/draws") as loaded:
            count = examples(loaded).images.count
        all_of_them = exploration.any_images(shelf, "runs/draws", count)
        assert sorted(all_of_them) == [*range(1, count + 1)]
        with pytest.raises(DrawError, match=f"{count + 1} test images or more, got {count} in"):
            exploration.any_images(shelf, "runs/draws", count + 1)

    def test_one_step_changes_what_comes_after_it(self, shelf):
        changed = exploration.change_step(shelf, "runs/draws", 1, 3, 2)
        before, after = (
            pixels_of(changed.show.parts[0]["sheet"]).reshape(2, 28, 4, 28).swapaxes(1, 2)
        )
        assert (before[:2] == after[:2]).all()
        assert (before[2] != after[2]).any()
        assert len(changed.differences) == 4
        with pytest.raises(DrawError, match="a step from 1 to 4, got 5"):
            exploration.change_step(shelf, "runs/draws", 1, 5, 2)

    def test_nearest_goes_through_all_training_images(self, shelf):
        *_, last = exploration.neighbours(shelf, "runs/draws", 1)
        assert last.pool == last.total == 1439
        with (
            shelf.use("runs/colour") as loaded,
            pytest.raises(DrawError, match="not on this computer"),
        ):
            training_images(loaded)


class TestWatching:
    def test_a_run_in_training(self, runs):
        run = observation.read(runs, "runs/draws")
        assert (run.state, run.step, run.best["bound"]) == ("training", 40, 161.0)
        said = "161.00 nats, weights of step 39"
        assert ("Best validation bound", said) in observation.facts(run)
        panels = observation.panels([run])
        assert [panel["title"] for panel in panels][-1] == "KL of each step"
        assert panels[-1]["lines"][0]["y"] == [39, 40, 41, 42]
        low, high = panels[0]["limits"]
        assert low < 165 < high < 200, "the axis leaves out where the bound falls"

    def test_all_that_is_shown_is_of_the_best_weights_and_says_so(self, tmp_path):
        folder = make_run(tmp_path / "runs" / "a", DRAWS, DataConfig(name="digits"))
        worse = {**json.loads(line("validation", 40, DRAWS)), "bound": 999.0}
        tested = {**json.loads(line("test", 40, DRAWS)), "weights_step": 26, "bound": 150.0}
        best = {**json.loads(line("validation", 26, DRAWS)), "bound": 100.0}
        with open(folder / "metrics.jsonl", "a") as file:
            file.writelines(json.dumps(one) + "\n" for one in (best, worse, tested))
        run = observation.read(tmp_path / "runs", "runs/a")
        found = dict(observation.facts(run))
        assert found["Best validation bound"] == "100.00 nats, weights of step 26"
        assert found["Test bound"] == "150.00 nats, weights of step 26"
        panels = observation.panels([run])
        points = {one["kind"]: one for one in panels[0]["lines"]}
        assert points["test"]["x"] == [260], "where its weights were, not where the run ended"
        assert panels[-1]["lines"][0]["y"] == [26, 27, 28, 29]
        assert panels[-1]["across"] == "step, of the best weights"
        path, words = observation.picture_of(run)
        assert (path.name, words) == (
            "step-00000040.png",
            "samples of step 40, not the best weights",
        )
        shutil.copy(path, path.with_name("step-00000026.png"))
        path, words = observation.picture_of(run)
        assert (path.name, words) == ("step-00000026.png", "samples of step 26, best weights")

    def test_what_is_quiet_for_long_is_no_longer_in_training(self, tmp_path):
        folder = make_run(tmp_path / "runs" / "a", DRAWS, DataConfig(name="digits"))
        root, long_ago = tmp_path / "runs", time.time() - 2 * observation.QUIET
        seen = []
        for at, going in ((None, None), (None, False), (long_ago, None), (long_ago, True)):
            if at is not None:
                os.utime(folder / "metrics.jsonl", (at, at))
            run, stamp = (
                look(root, "runs/a", going) for look in (observation.read, observation.stamp)
            )
            seen.append((run.state, stamp[-1]))
        assert seen == [("training", 1), ("stopped", 0), ("stopped", 0), ("training", 1)]

    def test_one_answer_is_no_profile(self, runs):
        run = observation.read(runs, "runs/looks")
        assert len(observation.panels([run])) == 3
        once = tuple({**line, "error_by_glimpse": [line["error"]]} for line in run.metrics)
        panels = observation.panels([dataclasses.replace(run, metrics=once)])
        assert [panel["title"] for panel in panels] == ["Wrong answers", "Cross-entropy"]

    def test_what_a_learned_prior_foresees_is_over_the_bars(self, runs):
        run = observation.read(runs, "runs/draws")
        fixed = {"fixed_prior_kl_per_glimpse": [40.0, 42.0, 44.0, 46.0]}
        told = dataclasses.replace(run, metrics=tuple(one | fixed for one in run.metrics))
        steps = observation.panels([told])[-1]
        bars, outline = steps["lines"]
        assert (bars["kind"], outline["kind"]) == ("bars", "outline")
        assert (outline["x"], outline["y"]) == (bars["x"], [40, 42, 44, 46])
        assert steps["limits"][1] == 46
        words = "foreseen by the learned prior: 10.0 of 172.0 nats"
        assert steps["note"].endswith(words)
        both = observation.panels([told, observation.read(runs, "runs/slow")])[-1]
        assert both["note"].startswith("runs/draws: ")
        assert observation.panels([run])[-1]["note"] == ""

    def test_two_runs_share_their_panels(self, runs):
        both = [observation.read(runs, f"runs/{name}") for name in ("draws", "slow")]
        assert {one["run"] for one in observation.panels(both)[0]["lines"]} == {
            "runs/draws",
            "runs/slow",
        }
        settings = dict(observation.settings(both))
        assert settings["model.glimpses"] == ("4", str(SLOW.glimpses))
        error = observation.panels([observation.read(runs, "runs/looks")])[0]
        assert error["unit"] == "%"

    def test_a_line_cut_short_and_a_run_without_lines(self, tmp_path):
        folder = make_run(tmp_path / "runs" / "a", DRAWS, DataConfig(name="digits"))
        before = observation.stamp(tmp_path / "runs", "runs/a")
        with open(folder / "metrics.jsonl", "a") as file:
            file.write(line("train", 41, DRAWS)[:30])
        assert observation.read(tmp_path / "runs", "runs/a").step == 40
        assert observation.stamp(tmp_path / "runs", "runs/a") != before
        (folder / "metrics.jsonl").unlink()
        empty = observation.read(tmp_path / "runs", "runs/a")
        assert empty.state == "stopped"
        assert observation.panels([empty])[0]["lines"] == []
        shutil.rmtree(folder)
        with pytest.raises(DrawError, match="may have been deleted"):
            observation.read(tmp_path / "runs", "runs/a")


class TestGuard:
    here = MappingProxyType({b"host": "127.0.0.1:7860"})

    @pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/queue/data", "/assets/a.js"])
    def test_the_page_is_served(self, path):
        assert refusal_of("GET", path, self.here, names=LOCAL_NAMES) is None

    @pytest.mark.parametrize(
        "path",
        [
            "/gradio_api/proxy=http://example.org", "/gradio_api/run/predict", "/monitoring",
            "/gradio_api/call/draw", "/gradio_api/vibe-code", "/gradio_api/file=http://example.org",
            "/gradio_api/file%3Dhttp%3A//example.org", "/docs", "/gradio_api/component_server",
        ],
    )  # fmt: skip
    def test_nothing_else_is(self, path):
        assert refusal_of("GET", path, self.here, names=LOCAL_NAMES)[0] == 404

    def test_names_and_origins_of_others(self):
        other = {b"host": "evil.example:7860"}
        assert refusal_of("GET", "/", other, names=LOCAL_NAMES)[0] == 403
        assert refusal_of("GET", "/", other, names=None) is None
        from_other = {**self.here, b"origin": "http://evil.example"}
        assert refusal_of("POST", "/gradio_api/queue/join", from_other, names=LOCAL_NAMES)[0] == 403
        own = {**self.here, b"origin": "http://127.0.0.1:7860", b"content-length": "10"}
        assert refusal_of("POST", "/gradio_api/queue/join", own, names=LOCAL_NAMES) is None

    def test_bodies_are_bounded(self):
        large = {**self.here, b"content-length": str(LONGEST_BODY + 1)}
        assert refusal_of("POST", "/gradio_api/queue/join", large, names=LOCAL_NAMES)[0] == 413
        assert refusal_of("POST", "/gradio_api/upload", large, names=LOCAL_NAMES) is None
        assert refusal_of("POST", "/gradio_api/upload", self.here, names=LOCAL_NAMES)[0] == 411
        assert refusal_of("DELETE", "/", self.here, names=LOCAL_NAMES)[0] == 405


class TestCommand:
    def test_its_options_come_to_the_server_as_they_are_given(self, tmp_path, monkeypatch):
        served = []
        monkeypatch.setattr("draw.studio.server.serve", lambda *given: served.append(given))
        draw_command("studio", cwd=tmp_path)
        draw_command(
            "studio", "--data.path", "a=b", "--allow-host", "x.org", "--root-path", "/draw",
            "--data.path", "c", "--allow-host", "y.org", cwd=tmp_path,
        )  # fmt: skip
        reaches, images = zip(*((one[2], one[5]) for one in served), strict=True)
        assert reaches == (Reach(), Reach(other_names=("x.org", "y.org"), root_path="/draw"))
        assert images == ((), ("a=b", "c"))

    def test_a_port_that_cannot_be(self, tmp_path):
        done = draw_command("studio", "--port", "70000", cwd=tmp_path, check=1)
        assert "expected --port from 0 to 65535" in done.stderr

    def test_without_gradio_it_says_what_to_install(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "gradio", None)
        done = draw_command("studio", cwd=tmp_path, check=1)
        assert "the extra 'studio', found no gradio; " in done.stderr
