"""``exgate trades --follow``: the stream of trades, resumed after a cut."""

from __future__ import annotations

import json
import time

import click

from . import tables
from .errors import NotSent, Unavailable
from .remote import Closed, Door
from .verbs import Options, say

_AGAIN = frozenset({1001, 1006, 1008, 1012})
"""How a stream ends that can be resumed: going away, lost, too slow, restarting."""
_PAUSE = 1.0


class _Printer:
    """Prints frames and remembers the last trade."""

    def __init__(self, as_json: bool, since_id: str) -> None:
        self.since_id = since_id
        self._json = as_json

    def show(self, frame: bytes) -> None:
        """Print one frame; what isn't a trade goes to stderr unless the frames are asked for."""
        value = json.loads(frame)
        found = value.get("trades", [])
        if found:
            self.since_id = found[-1]["trade_id"]
        if self._json:
            say(frame.decode())
            return
        for item in found:
            say(tables.trade_line(item))
        if "status" in value:
            click.echo(f"{value['status']}: {value['desc']}", err=True)


def follow_trades(options: Options, exchange: str, symbol: str, since_id: str) -> None:
    """Print trades until interrupted; a cut stream is resumed. Raises the first refusal of a gateway."""
    printer = _Printer(options.json, since_id)
    door = options.running()
    try:
        closed = _read(door, exchange, symbol, printer)
    except NotSent:
        if options.url:
            raise
        door = options.here(exchange)
        closed = _read(door, exchange, symbol, printer)
    while closed.code in _AGAIN:
        click.echo(f"closed with {closed.code} {closed.reason}; going on after {printer.since_id}", err=True)
        time.sleep(_PAUSE)
        try:
            closed = _read(door, exchange, symbol, printer)
        except (NotSent, Unavailable) as error:
            closed = Closed(1006, error.message)


def _read(door: Door, exchange: str, symbol: str, printer: _Printer) -> Closed:
    params = [("symbol", symbol)]
    if printer.since_id:
        params.append(("since_id", printer.since_id))
    return door.follow(f"/v1/{exchange}/pull_trade", params, printer.show)
