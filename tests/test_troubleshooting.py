"""Messages that docs/troubleshooting.md quotes are those of the code."""

import ast
import functools
import re
from pathlib import Path

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
