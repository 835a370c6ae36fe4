"""A fake of the exchange in examples/one_file/lemon.py, and that plugin as a subject: books, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from exgate_testing.fakes import Keys, Reply, Request, Session, Simulation
from exgate_testing.subjects import Subject

from exgate_core.errors import Refused
from exgate_core.models import Market
from exgate_core.plugins import load_catalogue

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "one_file" / "lemon.py"


class LemonFake:
    """``/markets`` and ``/book``."""

    markets: ClassVar[Sequence[Market]] = (
        Market(symbol="BTC/USD", id="btcusd", base="BTC", quote="USD", tick_size="0.01", step_size="0.00001"),
        Market(symbol="PIP/BTC", id="pip.b", base="PIP", quote="BTC", tick_size="0.00000001", step_size="1"),
    )
    credentials: ClassVar[Keys] = Keys("", "")

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def operation(self, request: Request) -> str:
        """By its path."""
        return {"/markets": "markets", "/book": "depth"}.get(request.path, "")

    def answer(self, request: Request) -> Reply:
        """The list, or a book."""
        if request.path == "/markets":
            rows = [{"id": m.id, "base": m.base, "quote": m.quote} for m in self.markets]
            return Reply(json.dumps(rows).encode())
        fields = request.fields()
        try:
            symbol = self.simulation.market_by_id(fields["market"]).symbol
        except Refused as error:
            return Reply(json.dumps({"error": error.message}).encode(), 400)
        book = self.simulation.depth(symbol, int(fields["size"]))
        return Reply(json.dumps({"bids": book.bids, "asks": book.asks, "sequence": book.last_update_id}).encode())

    def too_many(self) -> Reply:
        """The usual."""
        return Reply(b'{"error":"slow down"}', 429, {"Retry-After": "7"})

    def opened(self, session: Session) -> None:
        """There are no streams."""

    def message(self, session: Session, text: str) -> None:
        """There are no streams."""

    def closed(self, session: Session) -> None:
        """There are no streams."""


def lemon(folder: Path, old: str = "", new: str = "") -> Subject:
    """The example as it stands, or with a mistake in it: ``old`` exchanged for ``new``."""
    text = EXAMPLE.read_text(encoding="utf-8")
    assert old in text
    (folder / "lemon.py").write_text(text.replace(old, new), encoding="utf-8")
    catalogue = load_catalogue([], folder)
    offer = catalogue.public("lemon")[0]
    return Subject(name="lemon", distribution=offer.distribution, offer=offer, catalogue=catalogue, fake=LemonFake)
