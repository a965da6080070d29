"""A list of names stands once: what two modules need, one of them has from the other."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import draw

ROOT = Path(draw.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def lists(tree: ast.AST) -> Iterator[frozenset[str]]:
    """The names in every Literal, and in every other list of three texts or more."""
    of_literals = {
        id(node.slice)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            texts = [one.value for one in node.elts if isinstance(one, ast.Constant)]
            names = frozenset(text for text in texts if isinstance(text, str))
            least = 2 if id(node) in of_literals else 3
            if len(names) == len(node.elts) >= least:
                yield names


def places(sources: dict[str, str]) -> dict[frozenset[str], list[str]]:
    found = defaultdict(list)
    for name, text in sources.items():
        for names in lists(ast.parse(text)):
            found[names].append(name)
    return {names: where for names, where in found.items() if len(where) > 1}


def test_no_list_of_names_stands_twice() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in MODULES}
    found = places(sources)
    assert not found, "\n".join(f"{sorted(names)}: {where}" for names, where in found.items())


def test_a_list_in_another_order_is_the_same() -> None:
    sources = {
        "one.py": "Mode = Literal['grey', 'colour']\nA = ('x', 'y')",
        "two.py": "def f(mode: Literal['colour', 'grey']): return ['x', 'y'], {'a', 'b', 'c'}",
        "three.py": "KNOWN = 'c', 'b', 'a'",
    }
    assert places(sources) == {
        frozenset(("grey", "colour")): ["one.py", "two.py"],
        frozenset("abc"): ["two.py", "three.py"],
    }


def test_no_two_modules_have_one_name() -> None:
    names = [path.stem for path in MODULES if not path.stem.startswith("__")]
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    assert not twice, f"expected a name of its own for each module, got several of {twice}"


def test_every_test_with_a_browser_has_a_second_go() -> None:
    tests = Path(__file__).parent.rglob("test_*.py")
    live = {path.name: path.read_text() for path in tests}
    live = {
        name: text
        for name, text in live.items()
        if re.search(r"^from (browser|firefox) import", text, re.M)
    }
    assert len(live) >= 4
    assert [name for name, text in live.items() if "pytest.mark.live" not in text] == []
