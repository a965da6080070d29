"""Messages that docs/troubleshooting.md quotes are those of the code."""

import ast
import dataclasses
import functools
import platform
import re
from pathlib import Path

import pytest

from draw.errors import DrawError
from draw.runs.checkpoint import checkpoints, load_checkpoint
from draw.runs.lock import RunLock
from draw.training.start import resumed_config, start
from running import TINY, image_set, poison, with_train

ROOT = Path(__file__).parents[1]
QUOTED = re.findall(
    r"^> (.+)$", (ROOT / "docs" / "troubleshooting.md").read_text(), flags=re.MULTILINE
)
LEAST = 20
"""Characters that a message has to have of its own, so that it fits nothing by chance."""


@functools.cache
def patterns() -> list[re.Pattern[str]]:
    """What each text of the package looks like once its fields are filled in."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text())
        inner = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in node.values
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = node.values
            elif isinstance(node, ast.Constant) and id(node) not in inner:
                parts = [node]
            else:
                continue
            own = [one.value for one in parts if isinstance(one, ast.Constant)]
            if all(isinstance(one, str) for one in own) and sum(map(len, own)) >= LEAST:
                shape = "".join(
                    re.escape(one.value) if isinstance(one, ast.Constant) else ".+" for one in parts
                )
                found.append(re.compile(shape, re.DOTALL))
    return found


def is_of_the_code(message: str) -> bool:
    return any(pattern.fullmatch(message) for pattern in patterns())


def test_a_quoted_message_is_one_of_the_code() -> None:
    assert not [message for message in QUOTED if not is_of_the_code(message)]


def test_a_message_that_the_code_has_no_more_is_noticed() -> None:
    assert len(QUOTED) > 30
    assert is_of_the_code(
        "runs/a exists already and is left as it is; name another folder with --to"
    )
    assert not is_of_the_code("runs/a exists and is left as it is; name another folder with --to")
    assert not is_of_the_code("expected a preset, got mnits")


def shape(message: str) -> str:
    """A message with every number, and every value that is none, written alike."""
    return re.sub(r"[\d.:+e-]*\d|\b(nan|inf)\b", "N", message.replace(platform.node(), "node7"))


def test_what_a_run_says_is_quoted_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the fields of a message are filled with too, of which the code alone does not tell."""
    monkeypatch.chdir(tmp_path)
    run, said = Path("runs/digits"), []
    trainer = start(with_train(TINY, checkpoint_minutes=1e-9), run, image_set(10), image_set(4))
    poison(trainer, 4)
    with pytest.raises(DrawError) as error:
        trainer.fit()
    said.append(str(error.value))
    model = dataclasses.replace(TINY.model, glimpses=9)
    with pytest.raises(DrawError) as error:
        resumed_config(run, dataclasses.replace(trainer.config, model=model))
    said.append(str(error.value))
    with RunLock(run), pytest.raises(DrawError) as error:
        RunLock(run).acquire()
    said.append(str(error.value))
    newest = checkpoints(run)[-1]
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    with pytest.raises(DrawError) as error:
        load_checkpoint(newest)
    said.append(str(error.value))
    quoted = tuple(map(shape, QUOTED))
    assert not [one for one in said if not shape(one).startswith(quoted)]
