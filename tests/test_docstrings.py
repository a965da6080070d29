"""Docstrings that can be read alone, and names that are nouns or verbs, over the whole package."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import draw

ROOT = Path(draw.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
POINTS_ELSEWHERE = re.compile(
    r"(theirs|its|it|the same|none|they|them|same|those|these|this|that|see|as|never|nothing)\b(?! \w+ (who|that)\b)",
    re.IGNORECASE,
)
WITHOUT_SUBJECT = re.compile(
    r"(as|as in|of|in|to|theirs|its|it|they|those|them|whose|which|see|such|the same|what is needed)\b"
    r"|(the )?(model|kernel|run|classifier|network|config|image)'s[.;,]",
    re.IGNORECASE,
)


class Documented(NamedTuple):
    """A module, class, function or field with a docstring."""

    name: str
    text: str
    parameters: frozenset[str] | None


def parameters(node: ast.FunctionDef) -> frozenset[str]:
    args = node.args
    named = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    more = [arg for arg in (args.vararg, args.kwarg) if arg]
    return frozenset(arg.arg for arg in (*named, *more)) - {"self", "cls", "ctx"}
