"""Which mutants of ``mutants.py`` aren't judged, by general rules; and what is known of those that survive."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any, Final, Protocol

_UNUSED: Final = ("frozen", "gc", "kw_only", "forbid_unknown_fields")
"""Options of classes: the first three change nothing in a sound program, and unknown settings are refused by the core
before a class sees them."""

TUNING: Final = {
    ("server_time.py", "MEASURED_EVERY"): "a second more or less of half an hour in which clocks may drift",
    ("server_time.py", "_NEXT_TRY"): "a second more or less until the next try",
    ("desk.py", "_TIME_LIMIT"): "how long a question for the time may take",
    ("exchange.py", "_SNAPSHOTS"): "how many snapshots are tried before giving up",
    ("exchange.py", "_BETWEEN_SNAPSHOTS"): "the pause between them",
    ("finding.py", "_MOST_LATE"): "how many late orders are looked up before saying that nothing can be said",
    ("options.py", "settle"): "seconds of which five are to spare",
    ("dialect.py", "_HOUR"): "a second more or less of an hour, 23 of which are an hour less than is allowed",
    ("dialect.py", "batch"): "streams a message: the exchange names no cap",
    ("dialect.py", "ping"): "seconds between two signs of life",
    ("dialect.py", "pong"): "seconds without any before a connection counts as dead",
}
"""Numbers that one more or one less makes neither right nor wrong, as long as they stay above zero. What an exchange's
document states is never one of them."""
STAND_INS: Final = {
    ("counting.py", "_closed_until"): "any time long past",
    ("server_time.py", "_ahead"): "read only after the first comparison of clocks has set it",
}
"""Numbers that stand for "none yet"."""


class Mutant(Protocol):
    """One change of one module."""

    @property
    def module(self) -> str: ...
    @property
    def operator(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def source(self) -> str: ...


def excluded(mutant: Mutant, before: str) -> str:
    """By which rule a mutant isn't judged; empty if it is."""
    if not mutant.source:
        return "cosmic-ray fails to make it"
    try:
        after = ast.parse(mutant.source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "is" with a literal
            compile(mutant.source, mutant.module, "exec")
    except SyntaxError:
        return "no program: a star of **options or *names was taken for an operator"
    tree = ast.parse(before)
    if _plain(after) == _plain(tree):
        return f"the same program but for annotations, stars of parameters, and {', '.join(_UNUSED)} of classes"
    if mutant.operator == "NumberReplacer":
        return _number(mutant, tree, after)
    return ""


def _plain(tree: ast.Module) -> str:
    """The program without what it doesn't depend on: annotations that are never evaluated, whether parameters are
    named by callers (all that may be are), options of classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            for one in ast.walk(node):
                if isinstance(one, ast.AnnAssign):
                    one.annotation = ast.Constant("")
        elif isinstance(node, ast.ClassDef):
            node.keywords = [word for word in node.keywords if word.arg not in _UNUSED]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.BinOp):
            node.annotation = ast.Constant("")  # x | None
        elif isinstance(node, ast.arguments):
            _join(node)
    return ast.dump(ast.parse(ast.unparse(tree)))


def _join(parameters: ast.arguments) -> None:
    every = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]
    for one in every:
        one.annotation = None
    given = [default for default in (*parameters.defaults, *parameters.kw_defaults) if default is not None]
    parameters.posonlyargs, parameters.args, parameters.kwonlyargs = [], every, []
    parameters.defaults, parameters.kw_defaults = given, []


def _number(mutant: Mutant, tree: ast.Module, after: ast.Module) -> str:
    name = next((name for value, name in _named(tree) if _is_at(value, mutant)), "")
    if (mutant.module, name) in STAND_INS:
        return f"a number that stands in until there is one ({_listed(STAND_INS)})"
    if (mutant.module, name) in TUNING:
        value: Any = next(value for value, other in _named(after) if other == name)
        if isinstance(value, ast.Constant):  # not below zero
            return f"one more or less of a pure tuning constant ({_listed(TUNING)})"
    return ""


def _named(tree: ast.Module) -> list[tuple[ast.expr, str]]:
    """Everything that is given a name, and the name: variables, attributes, arguments."""
    found: list[tuple[ast.expr, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            found.append((node.value, node.arg or ""))
        elif isinstance(node, ast.Assign):
            found.append((node.value, _name(node.targets[0])))
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            found.append((node.value, _name(node.target)))
    return found


def _name(target: ast.expr) -> str:
    return target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""


def _is_at(value: ast.expr, mutant: Mutant) -> bool:
    return isinstance(value, ast.Constant) and (value.lineno, value.col_offset) == (mutant.line, mutant.column)


def _listed(names: dict[tuple[str, str], str]) -> str:
    return "; ".join(f"{name} of {module}: {why}" for (module, name), why in names.items())


_SAME: Final = "the same for every value that the exchange's document names"
KNOWN: Final[tuple[tuple[str, str, str], ...]] = (
    # (module and operator as a pattern, a part of the line, why)
    (r"account.py ExceptionReplacer", "except ExGateError:", "the caller is told of an unknown outcome all the same"),
    (r"\w+.py ReplaceComparisonOperator_NotEq_Gt", "status != 200", "no answer has a status below 200"),
    (
        r"counting.py ReplaceComparisonOperator_Eq_(LtE|GtE|IsNot)",
        '("ORDERS", "SECOND")',
        "a rule more, of a header never sent",
    ),
    (r"counting.py ReplaceComparisonOperator_GtE_(Eq|Is)", "limit.limit", "counts rise one by one: none jumps over it"),
    (r"counting.py ReplaceBinaryOperator_Sub_Mod", "_closed_until - now", "a % b is a - b where b < a < 2b, as here"),
    (r"counting.py ReplaceComparisonOperator_Lt_LtE", "_closed_until", "they are never equal to the last digit"),
    (r"desk.py .*", "isprintable()", "a key that no key can be is refused by the exchange as well"),
    (r"desk.py ReplaceBinaryOperator_Mul_\w+", "_SHARE", "another share of the deadline, and still less than all"),
    (r"desk.py ReplaceBinaryOperator_Mul_\w+", "_WAITING", "another part of it, and still enough for a short pause"),
    (r"dialect.py ReplaceComparisonOperator_Eq_(GtE|Is)", "serverShutdown", _SAME),
    (r"dialect.py NumberReplacer", "Limits(", "less than is allowed, as it is"),
    (r"exchange.py ReplaceComparisonOperator_Eq_(LtE|Is)", "aggregate", "there are two values, each kept once"),
    (r"failures.py ReplaceComparisonOperator_Eq_LtE", "UNFILLED_ORDERS", _SAME),
    (r"failures.py .*", "UNFILLED_ORDERS", "the budget closes for the same time: too careful, and nothing else"),
    (r"finding.py .*", "len(known) < len(ids)", "the fake shows by its id every order that has traded"),
    (
        r"finding.py ReplaceComparisonOperator_Gt_\w+",
        "> newest",
        "orders that are listed already have another client id",
    ),
    (r"finding.py NumberReplacer", "default=", "no order has such an id"),
    (
        r"forms.py ReplaceComparisonOperator_NotEq_(Lt|IsNot)",
        "TRIGGER",
        "every other option's name sorts before; both are one",
    ),
    (r"forms.py ReplaceComparisonOperator_Eq_(LtE|Is)", '"limit"', "there are two values, each kept once"),
    (r"hosts.py NumberReplacer", "5000, ", "asked for 5000 at most"),
    (r"joining.py RemoveDecorator", "@property", "a sign of life before the first book, which the core passes over"),
    (r"joining.py ReplaceComparisonOperator_LtE_Lt", "event.u", "a change that is applied twice changes nothing"),
    (r"parse.py ReplaceComparisonOperator_Eq_GtE", "TRADING", "no status of the document sorts behind it"),
    (
        r"parse.py ReplaceComparisonOperator_NotEq_(Gt|IsNot)",
        "!= -1",
        "-1 is the least, and kept once by the interpreter",
    ),
    (r"private.py ReplaceComparisonOperator_Eq_(LtE|Is)", '"BUY"', "there are two values, each kept once"),
    (r"server_time.py ReplaceBinaryOperator_Div_FloorDiv", "/ 1000", "up to a second behind, which the window allows"),
    (r"server_time.py ReplaceComparisonOperator_GtE_Gt", "_renew_at", "they are never equal to the last digit"),
    (r"signing.py .*", "", "keys in PEM: the kit signs with secrets only; test_signing.py judges them"),
)


def known_survivor(mutant: Mutant, before: str) -> str:
    """Why it is no surprise that the kit doesn't notice, where that is known."""
    line = before.splitlines()[mutant.line - 1]
    place = f"{mutant.module} {mutant.operator}"
    fitting = (why for where, text, why in KNOWN if re.fullmatch(where, place) and text in line)
    return next(fitting, "no reason is known: a gap in the kit")
