"""Commands in the documents: each can be parsed, and those of README are run."""

import functools
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image

from documented_commands import DOCUMENTS, ROOT, commands
from draw import cli
from draw.cli import training
from draw.cli.options import RunOptions
from draw.config.compute import ComputeConfig
from draw.config.data import DataConfig
from draw.config.presets import PRESETS
from draw.config.train import TrainConfig
from draw.models.kinds import KINDS
from option_flags import flags_of, flags_with_prefix
from running import TINY_DIGITS, draw_command

README = (ROOT / "README.md").read_text()
SHORT = "--train.steps", "2", "--train.evaluate-every", "2"
OF_CLASSIFIERS = ("--model.glimpses", "1", "--model.hidden-size", "8", "--model.read-size", "2")


def recorder(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb's options, and nothing done with them."""

    @functools.wraps(verb)
    def record(*_: object, **__: object) -> None:
        pass

    return record


def check(words: list[str]) -> None:
    """Parse a command as the command line does, and do nothing.

    Raises:
        KeyError: if there is no such verb.
        SystemExit: if an option is unknown, or its value is none.
    """
    words = ["sample" if word == "VERB" else word for word in words]
    match words:
        case [] | ["--version" | "--completion", *_] | [*_, "--help" | "--help-all"]:
            draw_command(*words, cwd=ROOT)
        case ["train", "--resume" | "--config", _, *rest]:
            training._parse_config("draw train", PRESETS["mnist"](), rest)
        case ["train", preset, *rest]:
            training._parse_config("draw train", PRESETS.get(preset, PRESETS["digits"])(), rest)
        case ["data", verb, *rest]:
            tyro.cli(recorder(cli.DATA_VERBS[verb]), args=rest)
        case [verb, *rest]:
            tyro.cli(recorder(cli.VERBS[verb]), args=rest)


SHOWN = sorted(
    {
        tuple(words)
        for path in DOCUMENTS
        if path.name != "CONTRIBUTING.md"
        for words in commands(path.read_text())
    }
)


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_a_command_in_a_document_can_be_parsed(words: tuple[str, ...]) -> None:
    check([*words])


def test_a_command_that_cannot_be_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "text\n\n    draw sample mnist --how-many 4   # wrong\n    torchrun -m draw train mnist\n\n"
    )
    wrong, right = commands(text)
    assert wrong == ["sample", "mnist", "--how-many", "4"]
    assert right == ["train", "mnist"]
    with pytest.raises(SystemExit):
        check(wrong)
    assert "--how-many" in capsys.readouterr().err


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a reader of README is: a folder with MNIST as pictures, own pictures, half a digit."""
    folder = tmp_path_factory.mktemp("reader")
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("validation", 8), ("test", 8)):
        for n in range(count):
            target = folder / "MNIST" / split / str(n % 10)
            target.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (28, 28), np.uint8)
            Image.fromarray(pixels).save(target / f"{n}.png")
    for n in range(30):
        (folder / "PICTURES").mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "PICTURES" / f"{n}.png")
    Image.fromarray(random.integers(0, 256, (28, 28), np.uint8)).save(folder / "half.png")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def smaller(words: list[str]) -> list[str]:
    """The same command, with numbers that make it a matter of a second or two."""
    match words:
        case ["train", "--resume", run, *_]:
            return ["train", "--resume", run, "--train.steps", "3"]
        case ["train", preset, *_]:
            sizes = OF_CLASSIFIERS if preset == "cluttered" else TINY_DIGITS[:10]
            if "--train.minutes" in words:
                words = words[: words.index("--train.minutes")]
                return [*words, "--train.minutes", "0.02", *sizes, *TINY_DIGITS[10:]]
            return [*words, *sizes, *TINY_DIGITS[10:], *SHORT]
        case ["sample" | "animate", *_]:
            return [*words, "--n", "2"]
        case ["complete", *_]:
            return [*words, "--n", "2", "--particles", "2", "--rounds", "1"]
    return words


@pytest.mark.slow
def test_the_commands_of_readme_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, one after another, as they stand there, but for the sizes."""
    opened: list[object] = []
    monkeypatch.setattr("draw.studio.server.serve", lambda *given: opened.append(given))
    done = []
    for words in commands(README):
        draw_command(*smaller(words), cwd=place)
        done.append(words[0])
    assert opened, "draw studio"
    assert {"train", "sample", "animate", "reconstruct", "evaluate", "export"} <= {*done}
    assert {path.name for path in place.iterdir()} >= {"samples.png", "digits.gif", "my-model"}


def every_option() -> dict[str, list[str]]:
    """The flags of each verb, and of each section of a training's config."""
    verbs = {
        **{verb: cli.VERBS[verb] for verb in cli.VERBS if verb != "train"},
        **{f"data {verb}": of for verb, of in cli.DATA_VERBS.items()},
    }
    found = {verb: [flag for flag, _ in flags_of(of)] for verb, of in verbs.items()}
    sections: list[tuple[str, type]] = [("", RunOptions), ("", ComputeConfig)]
    sections += [("data.", DataConfig), ("train.", TrainConfig)]
    sections += [("model.", kind.config) for kind in KINDS.values()]
    for prefix, of in sections:
        found[f"train, {of.__name__}"] = flags_with_prefix(prefix, of)
    return {of: [flag for flag in flags if flag.startswith("--")] for of, flags in found.items()}


@pytest.mark.parametrize("of", (options := every_option()))
def test_every_option_is_in_a_document(of: str) -> None:
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    unnamed = [
        flag
        for flag in options[of]
        if not re.search(rf"(--no-{flag[2:]}|{re.escape(flag)})(?![\w.-])", text)
    ]
    assert not unnamed, "docs/command-line.md has a table for what no other page needs"


def unknown_flags(text: str) -> list[str]:
    """The flags of commands in running text that their verbs do not have; commands may be parts."""
    known = {of: {*flags, "--help"} for of, flags in options.items()}
    in_training = [flags for of, flags in known.items() if of.startswith("train,")]
    known["train"] = {"--resume", "--config", "--help-all"}.union(*in_training)
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = []
    for shown in re.findall(r"`draw ((?:data )?[a-z]+) ([^`]*)`", text):
        verb, rest = shown
        flags = re.findall(r"(?<!\S)(--[a-z][\w.-]*)", rest)
        found += [
            f"draw {verb} {flag}"
            for flag in flags
            if not {flag, flag.replace("--no-", "--")} & known[verb]
        ]
    return found


CARDS = sorted((ROOT / "src/draw/weights").glob("*/README.md"))
HISTORY = ROOT / "CHANGELOG.md"


@pytest.mark.parametrize("path", [*DOCUMENTS, *CARDS, HISTORY], ids=lambda path: path.parent.name)
def test_flags_in_running_text_are_those_of_the_verb(path: Path) -> None:
    assert not unknown_flags(path.read_text())


def test_a_flag_that_a_verb_does_not_have_is_noticed() -> None:
    text = "By `draw train mnist --train.steps 3\n--train.precision fp32`, `draw info x --json -`"
    assert unknown_flags(text) == ["draw train --train.precision"]
    assert unknown_flags("`draw data check digits --data.path here`, `draw judge x --n 3`") == []


def test_a_reader_of_readme_sees_it_at_once() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    assert "![" in lines[0]


def test_what_make_is_told_to_do_it_can() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for path in DOCUMENTS:
        for target in re.findall(r"(?:^    |`)make ([\w-]+)", path.read_text(), re.MULTILINE):
            assert target in targets, f"{path.relative_to(ROOT)}: make {target}"
