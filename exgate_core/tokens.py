"""The verbs for who may come in: ``exgate token new | list | revoke | show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from . import tables
from .clock import SystemClock
from .verbs import Options, common, pairs

if TYPE_CHECKING:
    from pathlib import Path

    from .grants import Grants

_LISTED = ("name", "allow", "max_order", "rate", "created")


@click.group()
def token() -> None:
    """Who may use a gateway, and for what."""


@token.command()
@common
@click.argument("name")
@click.option("--allow", multiple=True, metavar="EXCHANGE:KIND", help="read or trade; * is every exchange. Repeatable.")
@click.option("--max-order", multiple=True, metavar="ASSET=AMOUNT", help="The most that one order moves. Repeatable.")
@click.option("--rate", type=click.FloatRange(min=0), default=0.0, help="Requests per second; 0 = no limit.")
@click.pass_obj
def new(options: Options, name: str, allow: tuple[str, ...], max_order: tuple[str, ...], rate: float) -> None:
    """Make a token for NAME and print it, this once. Without --allow it may read everything and trade nothing."""
    now = int(SystemClock().time() * 1000)
    made = _grants(options).add(name, now, allow=allow or ("*:read",), max_order=pairs(max_order), rate=rate)
    options.print({"name": name, "token": made}, made)


@token.command("list")
@common
@click.pass_obj
def list_tokens(options: Options) -> None:
    """The tokens that were given out, and what each may do; never the tokens themselves."""
    grants = _grants(options).read()
    rows = [
        {
            **msgspec.to_builtins(grant),
            "max_order": [f"{asset}={most}" for asset, most in grant.max_order.items()],
            "rate": f"{grant.rate:g}/s" if grant.rate else "",
            "created": tables.clock(grant.created),
        }
        for grant in grants
    ]
    values = [{key: value for key, value in msgspec.to_builtins(grant).items() if key != "digest"} for grant in grants]
    options.print(values, tables.records(_LISTED, rows, "no tokens but the gateway's own"))


@token.command()
@common
@click.argument("name")
@click.pass_obj
def revoke(options: Options, name: str) -> None:
    """Take back the token of NAME. A running gateway refuses it from its next request on."""
    _grants(options).revoke(name)
    options.print({"revoked": name}, f"{name} is revoked")


@token.command()
@common
@click.pass_obj
def show(options: Options) -> None:
    """Print the gateway's own token, which may do everything; made if there is none yet."""
    from .access import load_tokens

    path = load_tokens(_state_dir(options)).path
    assert path is not None
    text = path.read_text(encoding="ascii").strip()
    options.print({"token": text}, text)


def _grants(options: Options) -> Grants:
    from .grants import Grants

    return Grants(_state_dir(options))


def _state_dir(options: Options) -> Path:
    from . import settings

    return settings.state_dir(options.settings())
