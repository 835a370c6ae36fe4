"""The pages of this folder that are made from the source, so that they can't be wrong.

python docs/pages.py             write them
python docs/pages.py --check     say which are out of date; the exit code is their number
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parent
CORE = DOCS.parent / "exgate_core"

HOOKS_HEAD = """\
# Hooks

<!-- made by docs/pages.py from hookspecs.py, models.py, client.py and errors.py: change those -->

Everything that a plugin can implement, and every value that goes in and out. How to begin stands in
[Writing a plugin](writing-a-plugin.md), a whole package in
[An exchange in fifteen minutes](fifteen-minutes.md), what may change when in [Versions](versions.md).
"""
HOOKS_VALUES = """\
## Values

From `exgate_core`. Immutable; made with keywords. Prices, amounts and balances are decimal strings in plain notation,
exactly as the exchange wrote them; times are integers.
"""
HOOKS_NAMES = """\
## Names of types
"""
HOOKS_CONTEXT = """\
## The context

What a registered class is made with: `__init__(self, context)`.
"""
HOOKS_ERRORS = """\
## Errors

What an adapter raises. Anything else that escapes is read as "no usable answer", and after an order or a cancel
has left, as "outcome unknown".
"""
VALUES = (
    *("Market", "Depth", "DepthDelta", "Trade", "Balance", "Order", "OrderRequest", "CancelResult"),
    *("ExchangeCapabilities", "AccountCapabilities", "ClientIds", "Option", "Call"),
)
SIDES = (("A plugin's module", "ModuleHooks"), ("An exchange", "ExchangeHooks"), ("An account", "AccountHooks"))
REACHING = (
    ("fetch", "Http", ("request", "get_json")),
    ("fetch", "Response", ()),
    ("sockets", "Socket", ("subscription",)),
    ("dialects", "Dialect", ("subscribe", "unsubscribe", "ping", "route")),
    ("dialects", "Limits", ()),
    ("dialects", "Control", ()),
)
RAISED = ("Refused", "NotFound", "RateLimited", "NotSent")


class Field(NamedTuple):
    """One field of a class."""

    name: str
    type: str
    default: str
    """Empty for a field that must be given."""
    text: str


def hooks() -> str:
    """The page ``hooks.md``."""
    specs, models, client, errors = (_classes(name) for name in ("hookspecs", "models", "client", "errors"))
    call = next(_functions(specs["Register"]))
    parts = [HOOKS_HEAD]
    for title, name in SIDES:
        parts += [f"## {title}\n", _prose(specs[name]), *(_hook(name, hook) for hook in _functions(specs[name]))]
    parts += ["### `register`\n", _signature("register", call, ""), _prose(specs["Register"]), _prose(call)]
    parts += [HOOKS_VALUES, *(_struct(models[name]) for name in VALUES)]
    parts += [HOOKS_NAMES, _block([*_aliases("models"), *_aliases("hookspecs")])]
    parts += [HOOKS_CONTEXT, _table(fields(client["Context"]), defaults=False), *_reaching()]
    parts += [HOOKS_ERRORS, _errors(errors)]
    return "\n".join(parts)


def fields(owner: ast.ClassDef) -> list[Field]:
    """The annotated fields of a class, each with the string that stands below it."""
    found = []
    for node, after in zip(owner.body, [*owner.body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = "" if node.value is None else ast.unparse(node.value)
            found.append(Field(node.target.id, ast.unparse(node.annotation), default, _string(after)))
    return found


PAGES: dict[str, Callable[[], str]] = {"hooks.md": hooks}
"""File -> what makes its text."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or compare them; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    stale = [name for name, make in PAGES.items() if make() != _read(DOCS / name)]
    for name in stale:
        if not check:
            (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        sys.stdout.write(f"{name}: {'out of date' if check else 'written'}\n")
    return len(stale) if check else 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse((CORE / f"{module}.py").read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _functions(owner: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in owner.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _hook(owner: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    own = "" if owner == "ModuleHooks" else "self"
    return "\n".join([f"### `{function.name}`\n", _signature(function.name, function, own), _prose(function)])


def _signature(name: str, function: ast.FunctionDef | ast.AsyncFunctionDef, own: str) -> str:
    """As one types it in a plugin, on one line or, where that is too long, one argument a line."""
    arguments = function.args
    keywords = [
        f"{_argument(argument)} = {ast.unparse(default)}" if default is not None else _argument(argument)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    listed = [*([own] if own else []), *map(_argument, arguments.args[1:]), *(["*"] if keywords else []), *keywords]
    before = f"{'async ' if isinstance(function, ast.AsyncFunctionDef) else ''}def {name}("
    after = f") -> {ast.unparse(function.returns) if function.returns else 'None'}"
    line = before + ", ".join(listed) + after
    if len(line) > 110:
        line = before + "".join(f"\n    {one}," for one in listed) + "\n" + after
    return _block([line])


def _block(lines: Sequence[str]) -> str:
    return "\n".join(["```text", *lines, "```\n"])


def _aliases(module: str) -> Iterator[str]:
    """The lines of a module that give a type a name."""
    for node in ast.parse((CORE / f"{module}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
            yield ast.unparse(node).replace("'", '"')


def _argument(argument: ast.arg) -> str:
    return f"{argument.arg}: {ast.unparse(argument.annotation)}" if argument.annotation else argument.arg


def _struct(owner: ast.ClassDef) -> str:
    return "\n".join([f"### `{owner.name}`\n", _prose(owner), _table(fields(owner))])


def _table(rows: Sequence[Field], *, defaults: bool = True) -> str:
    head = "| field | type | default | |\n|---|---|---|---|\n" if defaults else "| field | type | |\n|---|---|---|\n"
    return head + "".join(
        f"| `{row.name}` | {_code(row.type)} | {f'{_code(row.default)} | ' if defaults else ''}{_cell(row.text)} |\n"
        for row in rows
    )


def _reaching() -> Iterator[str]:
    """How an adapter reaches its exchange: what ``context.http`` and ``context.ws`` return and want."""
    for module, name, methods in REACHING:
        owner = _classes(module)[name]
        yield f"### `{name}`\n\n{_prose(owner)}"
        if rows := fields(owner):
            yield _table(rows)
        for function in _functions(owner):
            if function.name in methods:
                yield f"{_signature(function.name, function, 'self')}\n{_prose(function)}"


def _errors(classes: dict[str, ast.ClassDef]) -> str:
    rows = (f"| `{name}` | {_cell(ast.get_docstring(classes[name]) or '')} |\n" for name in RAISED)
    return "| | |\n|---|---|\n" + "".join(rows)


def _prose(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return _marked(ast.get_docstring(node) or "") + "\n"


def _string(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return ""


def _code(text: str) -> str:
    return f"`{text.replace('_random.', 'random.')}`".replace("|", "\\|") if text else ""


def _cell(text: str) -> str:
    return _marked(" ".join(text.split())).replace("|", "\\|")


def _marked(text: str) -> str:
    return re.sub(r"``([^`]+)``", r"`\1`", text)


if __name__ == "__main__":
    sys.exit(main())
