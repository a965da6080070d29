"""Docstrings that can be read alone, and names that are nouns or verbs, over the whole package."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

import draw

ROOT = Path(draw.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

FRAGMENT = re.compile(
    r"(theirs|its|it|they|them|those|these|the same|same|none|nothing|never|such|as|of|see)\b",
    re.IGNORECASE,
)
"""How a docstring begins whose subject stands somewhere else."""
POINTER = re.compile(
    r"(theirs|its|it|they|those|them|the same|as|of|in|to|which|whose|that|such|see)\b"
    r"|((the|a) )?\w+'s[.,;]",
    re.IGNORECASE,
)
"""How the description of an argument begins that does not say what it is."""
ADMITTED = re.compile(r"(how (often|many|far|much)|the same seed)\b", re.IGNORECASE)

IRREGULAR = frozenset(
    [
        *("begun", "built", "chosen", "done", "drawn", "found", "given", "grown", "held", "kept"),
        "known",
        "laid",
        "left",
        "lost",
        "made",
        "said",
        "seen",
        "sent",
        "shown",
        "taken",
        "told",
        "written",
    ]
)
NO_PARTICIPLES = frozenset(("embed", "feed", "need", "red", "seed", "shed", "speed"))
PREPOSITIONS = frozenset(("as", "at", "atomically", "by", "for", "from", "in", "on", "out", "to"))
NOUNS = frozenset(("bound", "Cluttered", "cluttered", "hidden", "left", "importance_weighted"))
"""Names of the field: the bound, hidden units, cluttered digits; `left` is a side of a box."""
STATES = frozenset(("damaged", "held_out", "known", "learned", "prepared"))
"""Fields that say of what kind the rest is, some of them in files that people have."""
OF_LIBRARIES = frozenset((
    "Pretrained", "save_pretrained", "from_pretrained",  # the Hugging Face Hub's
    "connection_made", "data_received", "connection_lost",  # asyncio's
))  # fmt: skip


class Documented(NamedTuple):
    """A public module, class, function or field, its docstring, and what it is called with."""

    name: str
    text: str
    parameters: frozenset[str] | None


def called_with(node: ast.FunctionDef | ast.ClassDef) -> frozenset[str] | None:
    if isinstance(node, ast.ClassDef):
        inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        return called_with(inits[0]) if inits else None
    args = node.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    return frozenset(arg.arg for arg in every if arg) - {"self", "cls"}


def documented(body: list[ast.stmt], prefix: str) -> Iterator[Documented]:
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            public = not node.name.startswith("_") or node.name == "__call__"
            if text is not None and public:
                yield Documented(f"{prefix}{node.name}", text, called_with(node))
            if isinstance(node, ast.ClassDef) and public:
                yield from documented(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(after, ast.Expr):
            name = ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
            if isinstance(after.value, ast.Constant) and not name.lstrip("(").startswith("_"):
                yield Documented(f"{prefix}{name}", str(after.value.value), None)


def everything() -> list[Documented]:
    found = []
    for path in MODULES:
        tree = ast.parse(path.read_text())
        name = str(path.relative_to(ROOT))
        found.append(Documented(name, ast.get_docstring(tree) or "", None))
        found.extend(documented(tree.body, f"{name}: "))
    return found


def arguments(text: str) -> dict[str, str]:
    """The descriptions of a docstring's Args, by name."""
    section = re.search(r"^Args:\n((?:    .*(?:\n|$))+)", text, re.MULTILINE)
    pairs = re.findall(r"^    \*{0,2}(\w+): (.*)$", section[1] if section else "", re.MULTILINE)
    return dict(pairs)


ALL = everything()


def test_the_whole_package_is_looked_at() -> None:
    names = {one.name for one in ALL}
    assert len(names) > 1000
    assert {
        "model/draw.py",
        "model/draw.py: DRAW.step",
        "tasks/task.py: Task.losses",
        "parts/state.py: UnrollOutput.kl",
        "attention/window.py: Filterbank.__call__",
    } <= names


def test_docstrings_name_their_subject() -> None:
    """Three words at least, and none that points at something outside of the text."""
    bad = [
        f"{one.name}: {one.text[:60]!r}"
        for one in ALL
        if len(one.text.split()) < 3 or (FRAGMENT.match(one.text) and not ADMITTED.match(one.text))
    ]
    assert not bad, "\n".join(bad)


def test_arguments_are_said_what_they_are() -> None:
    bad = [
        f"{one.name}, {argument}: {words!r}"
        for one in ALL
        for argument, words in arguments(one.text).items()
        if POINTER.match(words) and not ADMITTED.match(words)
    ]
    assert not bad, "\n".join(bad)


def test_arguments_are_those_of_the_signature() -> None:
    bad = [
        f"{one.name}: {sorted(one.parameters ^ arguments(one.text).keys())}"
        for one in ALL
        if one.parameters is not None
        and arguments(one.text)
        and "kernels/gpu" not in one.name  # constants of Triton's compiler need no words
        and one.parameters != arguments(one.text).keys()
    ]
    assert not bad, "\n".join(bad)


def is_participle(word: str) -> bool:
    return word in IRREGULAR or (
        bool(re.fullmatch(r"[a-z]{2,}ed", word)) and word not in NO_PARTICIPLES
    )


def names_of(body: list[ast.stmt], public: bool = True) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
            if isinstance(node, ast.ClassDef):
                yield from names_of(node.body)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize(
    ("name", "is_one"),
    {
        "told": True,
        "Prepared": True,
        "written_atomically": True,
        "models_relisted": True,
        "held_by": True,
        "write": False,
        "named_moments": False,
        "seed": False,
        "is_known": False,
    }.items(),
)
def test_what_a_participle_is(name: str, is_one: bool) -> None:
    assert named_by_participle(name) is is_one


def named_by_participle(name: str) -> bool:
    """Whether a name ends in a participle, or has one before a preposition; `is_known` asks."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip("_").split("_")
    if words[0] in ("is", "has"):
        return False
    return is_participle(words[-1]) or any(
        is_participle(word) and after in PREPOSITIONS for word, after in pairwise(words)
    )


def test_no_public_name_is_a_participle() -> None:
    bad = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in MODULES
        for name in names_of(ast.parse(path.read_text()).body)
        if not name.startswith("_")
        and name not in NOUNS | STATES | OF_LIBRARIES
        and named_by_participle(name)
    ]
    assert not bad, "\n".join(bad)
