"""Small changes of meaning in a module's source: a comparison turned, a statement left out, a number off by one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


class Mutant(NamedTuple):
    """One change."""

    path: str
    line: int
    what: str
    """The change, for people."""
    text: str
    """The whole module with it."""


Change = Callable[[ast.AST], None]


def count(source: str) -> int:
    """How many there are."""
    return sum(len(list(_changes(node))) for node in _nodes(ast.parse(source)))


def pick(path: str, source: str, number: int) -> Mutant:
    """One of them, by its number."""
    tree, left = ast.parse(source), number
    for node in _nodes(tree):
        found = list(_changes(node))
        if left < len(found):
            before, (what, change) = ast.unparse(node), found[left]
            change(node)
            shown = f"{what}: {before.splitlines()[0][:80]}"
            return Mutant(path, getattr(node, "lineno", 0), shown, ast.unparse(ast.fix_missing_locations(tree)))
        left -= len(found)
    raise IndexError(number)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those whose change nobody could see: how much of a text is shown, what classes say about memory,
    what is imported for types, what only tests of crashes listen to."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name, value in ast.iter_fields(node):
            if not (isinstance(node, ast.ClassDef) and name == "keywords"):
                children = value if isinstance(value, list) else [value]
                waiting += [child for child in children if isinstance(child, ast.AST) and not _is_unseen(child)]


def _is_unseen(node: ast.AST) -> bool:
    if isinstance(node, ast.FormattedValue | ast.JoinedStr):
        return True
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith(("self._step(", "os.fsync(", "_log.", "_LOG."))


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "condition always true", lambda found: setattr(found, "test", ast.Constant(True))
        yield "condition always false", lambda found: setattr(found, "test", ast.Constant(False))
    else:
        yield from _expression(node)
    body = getattr(node, "body", None)
    for place, statement in enumerate(body if isinstance(body, list) else ()):
        if _can_go(statement):
            yield f"left out: {ast.unparse(statement).splitlines()[0][:60]}", _leave_out(place)


def _expression(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        yield "comparison turned", _turn_comparison
    elif isinstance(node, ast.BoolOp):
        yield "and for or", _swap_and_or
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _is_type_union(node):
        yield "another operator", _swap_operator
    elif isinstance(node, ast.Constant) and type(node.value) in (bool, int, float):
        yield "another constant", _change_constant
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", _drop_not


def _can_go(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.AugAssign | ast.Raise | ast.Delete | ast.Continue | ast.Break)


def _is_type_union(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.BitOr) and all(
        isinstance(side, ast.Name | ast.Attribute | ast.Subscript | ast.Constant | ast.BinOp)
        for side in (node.left, node.right)
    )


def _leave_out(place: int) -> Change:
    def change(node: ast.AST) -> None:
        node.body[place] = ast.Pass()  # type: ignore[attr-defined]

    return change


def _turn_comparison(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops = [_COMPARISONS[type(node.ops[0])]()]


def _swap_and_or(node: ast.AST) -> None:
    assert isinstance(node, ast.BoolOp)
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _swap_operator(node: ast.AST) -> None:
    assert isinstance(node, ast.BinOp)
    node.op = _ARITHMETIC[type(node.op)]()


def _change_constant(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant)
    value = node.value
    node.value = (not value) if isinstance(value, bool) else value + 1  # type: ignore[operator]


def _drop_not(node: ast.AST) -> None:
    assert isinstance(node, ast.UnaryOp)
    node.op = ast.UAdd()
    node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
