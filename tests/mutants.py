"""Every small edit of a function: an operator or a list turned round, a number changed."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip
CALLS = {"exp": "sigmoid", "sigmoid": "tanh", "tanh": "sigmoid", "square": "abs", "clamp": "sub"}


class _Edit(ast.NodeTransformer):
    """Changes the n-th thing that can be changed."""

    def __init__(self, n: int) -> None:
        self.left, self.done = n, ""

    def _due(self) -> bool:
        self.left -= 1
        return self.left == -1

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if type(node.op) in OPERATORS and self._due():
            before = ast.unparse(node)
            node.op = OPERATORS[type(node.op)]()
            self.done = f"{before} -> {ast.unparse(node)}"
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.USub) and self._due():
            self.done = f"{ast.unparse(node)} -> {ast.unparse(node.operand)}"
            return node.operand
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and self._due():
            self.done = f"{value} -> {value + 1}"
            return ast.Constant(value + 1)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr in CALLS and self._due():
            self.done = f"{node.attr} -> {CALLS[node.attr]}"
            node.attr = CALLS[node.attr]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if self._due():
            node.value = self._doubled(node.value)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Tuple) and self._due():
            node.value.elts[0] = self._doubled(node.value.elts[0])
        return node

    def visit_List(self, node: ast.List) -> ast.AST:
        self.generic_visit(node)
        if len(node.elts) > 1 and self._due():
            self.done = f"{ast.unparse(node)} turned round"
            node.elts.reverse()
        return node

    def _doubled(self, value: ast.expr) -> ast.expr:
        self.done = f"twice {ast.unparse(value)}"
        return ast.BinOp(value, ast.Mult(), ast.Constant(2))


def mutants(owner: Any, name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """What was edited, and the edited function, in turn for each edit of a function or method."""
    function = inspect.unwrap(getattr(owner, name))
    source = textwrap.dedent(inspect.getsource(function))
    for n in range(1000):
        edit = _Edit(n)
        tree = ast.fix_missing_locations(edit.visit(ast.parse(source)))
        if not edit.done:
            return
        made = "def make(__class__):\n" + textwrap.indent(ast.unparse(tree), "    ")
        space: dict[str, Any] = {}
        exec(f"{made}\n    return {name}", function.__globals__, space)
        yield f"{name}: {edit.done}", space["make"](owner)
