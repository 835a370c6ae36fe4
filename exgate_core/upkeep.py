"""The verbs for who runs a gateway: journal, plugins, check, openapi."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from . import pluginverbs, tables
from .errors import ExGateError, FailedPrecondition, NotFound
from .verbs import Options, common, say

if TYPE_CHECKING:
    from .plugins import Catalogue, PluginReport
    from .rows import Row
    from .settings import Settings

_LISTED = ("id", "state", "account", "symbol", "side", "order_id", "client_order_id", "created")


@click.group()
def journal() -> None:
    """The orders that the gateway wrote down, and what became of them."""


@journal.command("list")
@common
@click.option("--all", "every", is_flag=True, help="Decided orders as well.")
@click.pass_obj
def list_rows(options: Options, every: bool) -> None:
    """The orders whose outcome nobody knows yet, or whose row is damaged."""
    rows = [row for row in _read(options, "1") if every or row.undecided]
    shown = [{**_plain(row), "created": tables.clock(row.created)} for row in rows]
    options.print([_plain(row) for row in rows], tables.records(_LISTED, shown, "no such orders"))


@journal.command()
@common
@click.argument("row", type=int)
@click.pass_obj
def show(options: Options, row: int) -> None:
    """Everything about the order in ROW."""
    found = _read(options, "id = ?", row)
    if not found:
        raise NotFound(f"the journal has no row {row}", reason="NO_SUCH_ROW")
    options.print(_plain(found[0]), _fields(found[0]))


@journal.command()
@common
@click.argument("row", type=int)
@click.option("--placed", "order_id", default="", metavar="ORDER_ID", help="The exchange has it, under this id.")
@click.option("--never-placed", is_flag=True, help="The exchange never got it.")
@click.pass_obj
def resolve(options: Options, row: int, order_id: str, never_placed: bool) -> None:
    """Settle ROW by hand, after a look at the exchange's own site. The gateway must not be running."""
    if bool(order_id) == never_placed:
        raise click.UsageError("say either --placed ORDER_ID or --never-placed")
    import asyncio

    try:
        settled = asyncio.run(_resolve(_journal_path(options), row, order_id))
    except ExGateError as error:
        if error.reason != "JOURNAL_LOCKED":
            raise
        message = "the gateway runs, and it alone writes its journal; stop it, resolve, and start it again"
        raise FailedPrecondition(message, reason=error.reason) from None
    options.print(_plain(settled), _fields(settled))


@click.group(invoke_without_command=True)
@common
@click.pass_context
def plugins(context: click.Context) -> None:
    """The installed plugins: what each serves, and which were refused and why."""
    if context.invoked_subcommand is None:
        _show_plugins(context.obj)


def _show_plugins(options: Options) -> None:
    reports = _catalogue(options, options.settings()).reports
    columns = ("package", "version", "serves", "wraps", "problem")
    rows = [(report.package, report.version, _serves(report), report.wraps, _problem(report)) for report in reports]
    values = [msgspec.to_builtins(report, str_keys=True, order="sorted") for report in reports]
    options.print(values, tables.table(columns, rows, "no plugins are installed"))


@click.command()
@common
@click.pass_obj
def check(options: Options) -> int:
    """Find what would keep the gateway from starting or an order from being placed; opens and sends nothing."""
    from .checks import problems

    settings = options.settings(warn=True)
    found = list(problems(settings, _catalogue(options, settings), commands=True))
    text = "\n".join(found) or f"fine: {settings.path or 'no settings file, all defaults'}"
    options.print({"settings": str(settings.path or ""), "problems": found}, text)
    return 2 if found else 0


@click.command()
@common
@click.pass_obj
def openapi(options: Options) -> None:
    """Print the OpenAPI document."""
    from .openapi import document

    say(json.dumps(document(options.settings().server.root_path), indent=2, ensure_ascii=False))


for verb in pluginverbs.VERBS:
    plugins.add_command(verb)

VERBS: tuple[click.Command, ...] = (journal, plugins, check, openapi)
"""What this module adds to the command line."""


def _catalogue(options: Options, settings: Settings) -> Catalogue:
    from .plugins import load_catalogue

    return load_catalogue(settings.plugins.load, options.plugins_dir)


def _serves(report: PluginReport) -> str:
    names = sorted(report.serves)
    return ", ".join(names) if len(names) < 6 else f"{', '.join(names[:5])} and {len(names) - 5} more"


def _problem(report: PluginReport) -> str:
    return f"refused: {report.refused}" if report.refused else report.clash


def _journal_path(options: Options) -> Path:
    from . import settings

    return settings.journal_path(options.settings())


def _read(options: Options, where: str, *values: object) -> list[Row]:
    """Rows, read beside a gateway that may be running: this connection can't write."""
    import sqlite3

    from . import rows

    path = _journal_path(options)
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            rows.prepare(connection)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != rows.SCHEMA:
                text = f"the journal {path} has version {version}, not {rows.SCHEMA}; a start of the gateway brings an"
                raise FailedPrecondition(f"{text} earlier one up to date", reason="JOURNAL_VERSION")
            return rows.select(connection, where, *values)
    except sqlite3.Error as error:
        raise FailedPrecondition(f"the journal {path} can't be read: {error}", reason="JOURNAL_UNREADABLE") from None


async def _resolve(path: Path, row: int, order_id: str) -> Row:
    from .journal import Journal

    async with Journal(path) as opened:
        return await opened.resolve(row, order_id)


def _plain(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def _fields(row: Row) -> str:
    times = ("created", "sent", "decided", "delivered", "witnessed")
    return tables.fields(
        (name, tables.clock(value) if name in times and value else value) for name, value in _plain(row).items()
    )
