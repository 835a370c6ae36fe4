"""A fake of an exchange that speaks next to nothing: enough to see what the server does around it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from exgate_testing.fakes import Keys, Reply, Request, Session, Simulation

from exgate_core.models import DepthDelta, Market, Trade

BTC = Market(symbol="BTC/USDT", id="btc-usdt", base="BTC", quote="USDT", tick_size="0.01", step_size="0.001")


class TinyFake:
    """Answers every request with what it was; streams trades and changes of the one market to everybody."""

    markets: ClassVar[Sequence[Market]] = (BTC,)
    credentials: ClassVar[Keys] = Keys("key", "secret")

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def operation(self, request: Request) -> str:
        """The last part of the path."""
        return request.path.rpartition("/")[2]

    def answer(self, request: Request) -> Reply:
        """What was asked."""
        if request.path == "/broken":
            raise RuntimeError("a bug of the fake")
        seen = {"method": request.method, "host": request.host, "path": request.path, **request.fields()}
        return Reply(json.dumps(seen).encode())

    def too_many(self) -> Reply:
        """The usual."""
        return Reply(b'{"error":"slow down"}', 429, {"Retry-After": "7"})

    def opened(self, session: Session) -> None:
        """Everything is subscribed at once."""

        def trades(batch: Sequence[Trade]) -> None:
            session.send(json.dumps([trade.id for trade in batch]), "trades")

        def delta(delta: DepthDelta) -> None:
            session.send(json.dumps({"sequence": delta.sequence, "bids": delta.bids}), "book")

        session.state["stops"] = [
            self.simulation.on_trades("BTC/USDT", trades),
            self.simulation.on_delta("BTC/USDT", delta),
        ]
        session.send('"hello"')

    def message(self, session: Session, text: str) -> None:
        """An echo."""
        session.send(text)

    def closed(self, session: Session) -> None:
        """End what ``opened`` began."""
        for stop in session.state["stops"]:
            stop()
