"""Small changes of meaning in a module's source: a comparison turned, a statement left out, a number off by one."""

from __future__ import annotations

import ast
from collections import Counter
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


_UNSEEN: dict[str, Callable[[ast.AST], bool]] = {
    "texts for people": lambda node: isinstance(node, ast.FormattedValue | ast.JoinedStr),
    "lines of a log": lambda node: _is_call_of(node, "_log.", "_LOG."),
    "what is asserted to the type checker": lambda node: isinstance(node, ast.Assert),
    "imports for types": lambda node: isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING",
    "what only a power cut or a test of crashes could tell": lambda node: _is_call_of(node, "self._step(", "os.fsync("),
    "how classes are kept and called": lambda node: (
        isinstance(node, ast.keyword) and node.arg in ("gc", "frozen", "kw_only")
    ),
}
"""Where a change is one that no test in a living process could see. It isn't made; how many there are is told."""


class Mutant(NamedTuple):
    """One change."""

    path: str
    line: int
    lines: range | None
    """The lines of the statement: a test that runs none of them can't notice. None = it runs at import."""
    source: str
    """The line as it was, without its indentation."""
    what: str
    """The change, for people."""
    text: str
    """The whole module with it."""


Change = Callable[[ast.AST], None]


class _Place(NamedTuple):
    node: ast.AST
    line: int
    what: str
    change: Change


def count(source: str) -> int:
    """How many there are."""
    return len(_places(ast.parse(source))[0])


def excluded(source: str) -> Counter[str]:
    """How many are not made, by the rule that excludes them."""
    return _places(ast.parse(source))[1]


def pick(path: str, source: str, number: int) -> Mutant:
    """One of them, by its number."""
    tree = ast.parse(source)
    node, line, what, change = _places(tree)[0][number]
    lines, before = _statement(tree, line), ast.unparse(node).splitlines()[0][:80]
    change(node)
    text = ast.unparse(ast.fix_missing_locations(tree))
    shown = what if what.startswith("left out") else f"{what}: {before}"
    return Mutant(path, line, lines, source.splitlines()[line - 1].strip(), shown, text)


def _statement(tree: ast.Module, line: int) -> range | None:
    """The lines of the innermost statement there; of one with a body, those before it."""
    found: range | None = None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.body[0].lineno <= line:
            found = range(line, line + 1) if line <= (node.end_lineno or 0) else found
        if found and isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
            found = range(node.lineno, last + 1) if line <= last else found
    return found


def _places(tree: ast.Module) -> tuple[list[_Place], Counter[str]]:
    made: list[_Place] = []
    unmade: Counter[str] = Counter()
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, rule = waiting.pop()
        for place, its_rule in [*((found, rule) for found in _changes(node)), *_left_out(node, rule)]:
            if its_rule:
                unmade[its_rule] += 1
            else:
                made.append(place)
        waiting += [(child, rule or _rule(child)) for child in ast.iter_child_nodes(node)]
    return made, unmade


def _left_out(node: ast.AST, rule: str) -> Iterator[tuple[_Place, str]]:
    for field in ("body", "orelse", "finalbody"):
        statements = getattr(node, field, None)
        for place, statement in enumerate(statements if isinstance(statements, list) else ()):
            if _can_go(statement):
                what = f"left out: {ast.unparse(statement).splitlines()[0][:80]}"
                yield _Place(node, statement.lineno, what, _leave_out(field, place)), rule or _rule(statement)


def _rule(node: ast.AST) -> str:
    return next((rule for rule, holds in _UNSEEN.items() if holds(node)), "")


def _is_call_of(node: ast.AST, *starts: str) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith(starts)


def _changes(node: ast.AST) -> Iterator[_Place]:
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield _Place(node, line, "condition always true", lambda found: setattr(found, "test", ast.Constant(True)))
        yield _Place(node, line, "condition always false", lambda found: setattr(found, "test", ast.Constant(False)))
    else:
        for what, change in _expression(node):
            yield _Place(node, line, what, change)


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


def _leave_out(field: str, place: int) -> Change:
    def change(node: ast.AST) -> None:
        getattr(node, field)[place] = ast.Pass()

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
