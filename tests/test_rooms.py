"""The house's own rules, read off its source: which room may import which, and how big a room may grow."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "exgate_core"

LAYERS = {
    "values": "models errors numbers clock waiting",
    "contract": "wire status requests contract",
    "hooks": "hookspecs",
    "set-up": "secrets strict settings tracing hookcheck offers plugins",
    "upstream": "budget listings dialects exchange_clock fetch pool wsline sockets client",
    "sides": "markets hooking answers exchange account",
    "copies": "book joins ring span tape",
    "feeds": "supervisor tradefeed bookfeed readers feeds",
    "reads": "sharing reads",
    "orders": "rows outcomes freezes client_ids rules journal_file journal drafts lookups endings errands cancels "
    "orders",
    "whole": "lives accounts settling wrapping opening entry gateway",
    "doors": "grants rates access caps operations replies incoming audit openapi endpoints streams app",
    "outside": "heads frames outbox protocols http2 connections watchdog server asgi remote tables oneshot logs checks "
    "verbs commands following pluginlist installer scaffold pluginverbs upkeep tokens cli __main__",
}
"""Every room imports only from its own layer, without a circle, and from those above."""

LEVEL = {room: level for level, rooms in enumerate(LAYERS.values()) for room in rooms.split()}
PLACES = {
    "hypercorn": {"server", "connections", "protocols", "http2", "outbox"},
    "aiohttp": {"pool"},
    "picows": {"wsline", "dialects"},
    "sqlite3": {"rows", "journal", "journal_file", "upkeep"},
    "click": {"cli", "commands", "verbs", "following", "upkeep", "pluginverbs", "tables", "tokens"},
    "pluggy": {"hookspecs", "hooking", "hookcheck", "tracing", "plugins"},
}
"""What stands behind one door each, so that it can be exchanged there."""

PUBLIC = set("errors models numbers clock hookspecs budget listings client fetch sockets dialects".split())
"""What plugins may import besides the names of ``exgate_core`` itself."""
JUDGE = PUBLIC | set("access app client_ids entry exchange gateway plugins settings".split())
"""What the kit that judges plugins may import: it opens whole gateways."""

LIBRARIES = set("anyio click hypercorn msgspec pluggy starlette aiohttp yarl picows uvloop h11 h2 wsproto".split())
CHANCE_AND_TIME = {"time": set[str](), "random": {"Random"}}
MOST_LINES, MOST_FUNCTION_LINES = 500, 40


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def rooms() -> list[Path]:
    return sorted(CORE.glob("**/*.py"))


def sources() -> list[Path]:
    return [*rooms(), *sorted(ROOT.glob("plugins/*/src/**/*.py"))]


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path, *, types: bool) -> Iterator[str]:
    """The rooms that a room imports, in functions too; those for annotations only where ``types`` is set."""
    for_types = {inner for node in ast.walk(tree(path)) if is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (types or node not in for_types):
            own = node.level == 1 or (node.module or "").startswith("exgate_core")
            module = (node.module or "").removeprefix("exgate_core").lstrip(".")
            if own and module:
                yield module.partition(".")[0]
            elif own:
                yield from (name.name for name in node.names if (CORE / f"{name.name}.py").exists())


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def outside_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def test_every_room_has_its_place() -> None:
    assert {path.stem for path in rooms()} - {"__init__"} == set(LEVEL)


def test_no_room_imports_from_below() -> None:
    wrong = [
        f"{path.stem} imports {name}"
        for path in rooms()
        if path.stem in LEVEL
        for name in imports(path, types=True)
        if LEVEL.get(name, len(LAYERS)) > LEVEL[path.stem]
    ]
    assert not wrong


def test_rooms_of_one_layer_form_no_circle() -> None:
    needs = {path.stem: set(imports(path, types=False)) for path in rooms() if path.stem != "__init__"}
    list(graphlib.TopologicalSorter(needs).static_order())


def test_plugins_import_only_public_rooms() -> None:
    wrong = [
        f"{place(path)}: {node.module}"
        for path in sorted(ROOT.glob("plugins/*/src/**/*.py"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("exgate_core.")
        if (node.module or "").removeprefix("exgate_core.") not in (JUDGE if "exgate-testing" in str(path) else PUBLIC)
    ]
    assert not wrong


@pytest.mark.parametrize("module", PLACES)
def test_a_library_stands_behind_one_door(module: str) -> None:
    found = {path.stem for path in rooms() if module in set(outside_modules(path))}
    assert found <= PLACES[module]


def test_the_core_is_made_of_few_things() -> None:
    found = {module for path in rooms() for module in outside_modules(path)}
    assert found - set(sys.stdlib_module_names) - {"exgate_core"} <= LIBRARIES


def test_time_and_chance_are_arguments() -> None:
    """Everywhere but in the clock itself, and around the gateway: a run can be replayed from its seed."""
    exempt = {"clock", *LAYERS["outside"].split()}
    wrong = [
        f"{path.name}: {found}"
        for path in rooms()
        if path.stem not in exempt
        for node in ast.walk(tree(path))
        for found in own_time(node)
    ]
    assert not wrong


def own_time(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module, name = node.value.id.lstrip("_"), node.attr
        if name not in CHANCE_AND_TIME.get(module, {name}):
            yield f"{module}.{name}"
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("asyncio.sleep", "anyio.sleep", "sleep"):
        if not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0):
            yield ast.unparse(node)


def test_no_room_and_no_function_is_too_big() -> None:
    wrong = []
    for path in sources():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            wrong.append(f"{place(path)}: {lines} lines")
        wrong += [
            f"{place(path)}:{node.lineno} {node.name}: {size(node)} lines"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and size(node) > MOST_FUNCTION_LINES
        ]
    assert not wrong, "\n".join(wrong)


def size(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_public_names_have_a_docstring() -> None:
    wrong = [
        f"{path.name}:{node.lineno} {node.name}"
        for path in rooms()
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_architecture_page_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [room for room in LEVEL if f"`{room}`" not in page] == []
