"""The verbs of ``exgate``. Reading verbs ask a running gateway; public ones also work without one.

exit code  what it says                                                      google.rpc codes
0          done
1          a bug, of ExGate or of a plugin                                   2, 13, 15
2          the command line or the settings are wrong; nothing was asked
3          refused or invalid: fix the request, nothing was done              3, 6, 9, 11, 12
4          there is no such order or exchange                                 5
5          unavailable, or certainly not sent: the same again is safe         1, 4, 8, 10, 14
6          an order or a cancel may have been sent: its outcome is unknown    4
7          this caller may not                                                7, 16
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import click

from . import __version__, tables, tokens, upkeep
from .commands import Verbs
from .errors import ExGateError, OutcomeUnknown
from .verbs import Options, ask, common, complain, exit_code, new_key, pairs, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns its exit code. Answers go to stdout, everything else to stderr."""
    try:
        result = cli.main(arguments, prog_name="exgate", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except ExGateError as error:
        complain(error.reason, error.message)
        return exit_code(error)
    return result if isinstance(result, int) else 0


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="exgate")
@common
def cli() -> None:
    """One API in front of every spot exchange."""


@cli.command()
@common
@click.option("--host", help="Bind to this address (server.host).")
@click.option("--port", type=int, help="Bind to this port (server.port).")
@click.pass_obj
def serve(options: Options, host: str | None, port: int | None) -> None:
    """Run the gateway until it is told to stop."""
    from . import checks, logs, plugins, server, watchdog

    watchdog.collect_less()
    logs.log_to_stderr()
    bound = [f"server.{name}={value}" for name, value in (("host", host), ("port", port)) if value is not None]
    options.overrides.extend(bound)
    settings = options.settings(warn=True)
    logs.set_level(settings.server.log_level)
    catalogue = plugins.load_catalogue(settings.plugins.load, options.plugins_dir)
    checks.log(settings, catalogue)
    server.serve(settings, catalogue, ready=say, step=_crash_step(os.environ.get("EXGATE_CRASH_AT", "")))


@cli.command()
@common
@click.pass_obj
def exchanges(options: Options) -> None:
    """The exchanges that this gateway serves."""
    options.show(options.public("", "/v1/exchanges"), tables.exchanges)


@cli.command()
@common
@click.argument("exchange")
@click.pass_obj
def markets(options: Options, exchange: str) -> None:
    """The spot markets of EXCHANGE and their order rules."""
    options.show(options.public(exchange, f"/v1/{exchange}/markets"), tables.markets)


@cli.command()
@common
@click.argument("exchange")
@click.argument("symbol")
@click.option("--limit", default=10, show_default=True, help="Levels a side.")
@click.option("--local", is_flag=True, help="From the gateway's local copy, if that is fresh enough.")
@click.option("--tolerate", metavar="SECONDS", help="How old the answer may be.")
@click.option("--watch", is_flag=True, help="Show the book again and again until interrupted.")
@click.option("--interval", default=1.0, show_default=True, help="Seconds between two looks of --watch.")
@click.pass_obj
def depth(
    options: Options, exchange: str, symbol: str, limit: int, local: bool, tolerate: str, watch: bool, interval: float
) -> None:
    """The order book of SYMBOL on EXCHANGE, its age and where it came from."""
    path, params = f"/v1/{exchange}/depth", _reading(symbol, limit, local or watch, tolerate)
    if not watch:
        options.show_dated(options.public(exchange, path, params), tables.depth)
        return
    door = options.running()
    while True:
        reply = ask(door, path, params)
        if sys.stdout.isatty():
            click.clear()
        options.show_dated(reply, tables.depth)
        time.sleep(interval)


@cli.command()
@common
@click.argument("exchange")
@click.argument("symbol")
@click.option("--limit", default=20, show_default=True, help="How many trades.")
@click.option("--local", is_flag=True, help="From the gateway's local copy, if that is fresh enough.")
@click.option("--tolerate", metavar="SECONDS", help="How old the answer may be.")
@click.option("--follow", is_flag=True, help="The stream of trades, until interrupted.")
@click.option("--since-id", metavar="ID", help="With --follow: go on after this trade.")
@click.pass_obj
def trades(
    options: Options, exchange: str, symbol: str, limit: int, local: bool, tolerate: str, follow: bool, since_id: str
) -> None:
    """The newest trades of SYMBOL on EXCHANGE, or the stream of them."""
    if follow:
        from .following import follow_trades

        follow_trades(options, exchange, symbol, since_id or "")
        return
    path, params = f"/v1/{exchange}/recent_trades", _reading(symbol, limit, local, tolerate)
    options.show_dated(options.public(exchange, path, params), lambda answer: tables.trades(answer["trades"]))


@cli.command()
@common
@click.argument("exchange")
@click.pass_obj
def balances(options: Options, exchange: str) -> None:
    """What the account behind EXCHANGE holds."""
    reply = options.private(f"/v1/{exchange}/balances")
    columns = ("asset", "available", "frozen")
    options.show(reply, lambda answer: tables.records(columns, answer["balances"], "no balances"))


@cli.command()
@common
@click.argument("exchange")
@click.argument("symbol")
@click.argument("side", type=click.Choice(["buy", "sell"], case_sensitive=False))
@click.argument("type", type=click.Choice(["limit", "market"], case_sensitive=False))
@click.option("--amount", default="", help="In the base asset, a decimal.")
@click.option("--price", default="", help="In the quote asset, a decimal; limit orders only.")
@click.option("--option", "chosen", multiple=True, metavar="KEY=VALUE", help="An order option; may be repeated.")
@click.option("--key", default="", help="The Idempotency-Key: the same key never sends a second order.")
@click.pass_obj
def order(
    options: Options, exchange: str, symbol: str, side: str, type: str, amount: str, price: str,
    chosen: tuple[str, ...], key: str,
) -> None:  # fmt: skip
    """Place one order on EXCHANGE. It is sent once, or not at all."""
    key = key or new_key()
    body = {"symbol": symbol, "side": side, "type": type, "price": price, "amount": amount}
    try:
        reply = options.change(f"/v1/{exchange}/order", {**body, "options": pairs(chosen)}, key)
    except OutcomeUnknown:
        click.echo(f"exgate: the same again with --key {key} asks what became of it and never sends twice", err=True)
        raise
    client_order_id = reply.headers.get("exgate-client-order-id", "")
    options.show(
        reply,
        lambda answer: tables.fields(
            [("order_id", answer["order_id"]), ("client_order_id", client_order_id), ("key", key)]
        ),
    )


@cli.command()
@common
@click.argument("exchange")
@click.argument("order_id", default="")
@click.option("--symbol", default="", help="Where the exchange wants to know it.")
@click.option("--client-order-id", default="", help="Instead of ORDER_ID.")
@click.pass_obj
def cancel(options: Options, exchange: str, order_id: str, symbol: str, client_order_id: str) -> None:
    """Cancel one order on EXCHANGE. Doing it twice is safe."""
    named = {"client_order_id": client_order_id} if client_order_id else {}
    body = {"symbol": symbol, "order_id": order_id, "options": named}
    reply = options.change(f"/v1/{exchange}/cancel", body)
    options.show(reply, lambda answer: tables.fields([("status", answer["status"])]))


@cli.command()
@common
@click.argument("exchange")
@click.argument("symbol", default="")
@click.option("--order-id", default="", help="Find this one order, open or not.")
@click.option("--client-order-id", default="", help="Find this one order, open or not.")
@click.pass_obj
def orders(options: Options, exchange: str, symbol: str, order_id: str, client_order_id: str) -> None:
    """The open orders on EXCHANGE, or what became of one order."""
    asked = (("symbol", symbol), ("order_id", order_id), ("client_order_id", client_order_id))
    params = [("extended", "true"), *((name, value) for name, value in asked if value)]
    if order_id or client_order_id:
        reply = options.private(f"/v1/{exchange}/order", params)
        options.show(reply, lambda answer: tables.fields(answer.items()))
        return
    reply = options.private(f"/v1/{exchange}/pending_orders", params)
    columns = ("order_id", "symbol", "side", "type", "price", "amount", "filled", "client_order_id")
    options.show(reply, lambda answer: tables.records(columns, answer["orders"], "no open orders"))


def _crash_step(crash_at: str) -> Callable[[str], None] | None:
    """For tests: dies, as by a power cut, at the named step of an order."""

    def step(name: str) -> None:
        if name == crash_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return step if crash_at else None


def _reading(symbol: str, limit: int, local: bool, tolerate: str | None) -> list[tuple[str, str]]:
    params = [("symbol", symbol), ("limit", str(limit)), ("isLocal", "true" if local else "false")]
    return params if tolerate is None else [*params, ("tolerate_interval", tolerate)]


for verb in (*upkeep.VERBS, tokens.token):
    cli.add_command(verb)
