"""A storm over the wire to an exchange: most calls about orders fail, each in a way of its own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal

from exgate_paper.faults import Fault, Kind
from exgate_testing.fakes import Reply, Request
from exgate_testing.faults import AnswerKind, WireFault
from exgate_testing.serving import FakeExchange

BEFORE: Mapping[AnswerKind, float] = {
    **{"drop": 0.08, "hang": 0.01, "html": 0.03, "truncated": 0.02, "empty": 0.03, "null": 0.02, "blank": 0.02},
    **{"redirect": 0.03, "too_many": 0.01, "banned": 0.002, "error_500": 0.025, "error_502": 0.025},
    **{"error_503": 0.02, "error_504": 0.02, "stale": 0.03},
}
"""Faults of an order or cancel before the exchange takes it in: 37 of 100."""
AFTER: Mapping[AnswerKind, float] = {
    **{"drop": 0.10, "hang": 0.01, "cut": 0.04, "html": 0.03, "truncated": 0.04, "empty": 0.03, "null": 0.02},
    **{"blank": 0.02, "redirect": 0.02, "error_500": 0.01, "error_502": 0.01, "error_503": 0.01, "error_504": 0.01},
    **{"stale": 0.03},
}
"""Faults of the answer to one that it took in: another 38."""
LOOKS: Mapping[AnswerKind, float] = {
    **{"drop": 0.05, "hang": 0.003, "cut": 0.01, "html": 0.02, "truncated": 0.02, "empty": 0.015, "null": 0.015},
    **{"blank": 0.015, "redirect": 0.007, "too_many": 0.001, "error_502": 0.02, "error_503": 0.015, "stale": 0.015},
}
"""Faults of a question about an order: 21 of 100. A look may be five questions, all of which must be answered."""
OF_ENGINE: Mapping[str, Mapping[Kind, float]] = {
    ".before_accept": {
        "drop": 0.14,
        "not_sent": 0.05,
        "rate_limited": 0.04,
        "refuse": 0.04,
        "hang": 0.01,
        "error": 0.15,
    },
    ".after_accept": {"drop": 0.3, "error": 0.25, "lie": 0.2, "hang": 0.02},
    "find_order": {"drop": 0.12, "error": 0.12, "refuse": 0.08, "hang": 0.005},
}
"""The same for paper, which has no wire; each kind rolls its own dice."""


class Storm:
    """As much of ``WireFaults`` as orders need, by dice instead of by count.

    ``nameless``: operations whose answers name no order. An old one can't be told from a new one: it is dropped.
    """

    mute = refuse_sockets = False

    def __init__(self, dice: random.Random, nameless: Collection[str] = ()) -> None:
        self._dice, self._nameless, self.calm = dice, nameless, False
        self.calls = Counter[str]()
        self.struck = Counter[str]()

    def end(self) -> None:
        """From now on every call goes well."""
        self.calm = True

    def frame(self, text: str) -> None:
        """Frames are spared."""

    def request(self, operation: str) -> WireFault | None:
        """What befalls this request, if anything."""
        odds = _odds(operation)
        if self.calm or not odds:
            return None
        self.calls[operation] += 1
        roll = self._dice.random()
        for when, kinds in odds.items():
            for kind, odd in kinds.items():
                roll -= odd
                if roll < 0:
                    self.struck[operation] += 1
                    lost = kind == "stale" and operation in self._nameless
                    return WireFault(operation=operation, kind="drop" if lost else kind, when=when)
        return None


def _odds(operation: str) -> Mapping[Literal["before", "after"], Mapping[AnswerKind, float]]:
    if operation in ("place_order", "cancel_order"):
        return {"before": BEFORE, "after": AFTER}
    return {"before": LOOKS} if operation in ("find_order", "pending_orders") else {}


def engine_storm() -> list[Fault]:
    """The same for an exchange without a wire."""
    points = {f"{call}{when}": OF_ENGINE[when] for call in ("place", "cancel") for when in OF_ENGINE if when[0] == "."}
    return [
        Fault(point=point, kind=kind, times=0, probability=odd)
        for point, kinds in {**points, "find_order": OF_ENGINE["find_order"]}.items()
        for kind, odd in kinds.items()
    ]


def witness(wire: FakeExchange, replies: dict[int, str]) -> None:
    """Keep what the exchange answers to each order that it takes in, whatever becomes of the answer."""
    honest, world = wire.fake.answer, wire.simulation

    def answer(request: Request) -> Reply:
        before = len(world.accepted)
        reply = honest(request)
        if len(world.accepted) > before:
            replies[int(world.accepted[-1][1].order_id) - world.first_id] = reply.body.decode()
        return reply

    wire.fake.answer = answer  # type: ignore[method-assign]  # every fake is a class of its own
