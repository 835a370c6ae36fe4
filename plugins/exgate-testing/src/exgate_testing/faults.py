"""Faults on the wire around a fake: what becomes of an answer or a frame on its way.

They are armed with ``WireFaults.add`` and strike the next requests of an operation, or the next frames of a stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from .fakes import Reply

AnswerKind = Literal[
    "drop",
    "hang",
    "cut",
    "html",
    "truncated",
    "empty",
    "null",
    "blank",
    "redirect",
    "too_many",
    "banned",
    "error_403",
    "error_500",
    "error_502",
    "error_503",
    "error_504",
    "stale",
    "altered",
]
"""drop: the connection ends without an answer; hang: no answer, for ever; cut: it ends in the middle of the body; html,
truncated, empty, null, blank (``{}``): a 200 that holds that; redirect: a 302 to another path; too_many: the exchange's
own words; banned: a 418; error_...: a proxy's page; stale: the previous answer to the same operation once more;
altered: what ``WireFault.alter`` makes of it."""
FrameKind = Literal["skip", "repeat", "swap", "malformed", "replace", "altered"]
"""skip: never sent; repeat: sent twice; swap: sent after the next; malformed: half of it; replace: with other text;
altered: what ``FrameFault.alter`` makes of it."""


class WireFault(Struct, frozen=True, kw_only=True):
    """One thing that goes wrong with requests."""

    operation: str
    """What ``Fake.operation`` says of the request; ``*`` = any."""
    kind: AnswerKind
    when: Literal["before", "after"] = "before"
    """Whether the exchange has processed the request by then."""
    times: int = 1
    """How often it strikes; 0 = always."""
    after: int = 0
    """How many requests it lets pass first."""
    alter: Callable[[Reply], Reply] | None = None
    """For ``altered``: what is sent instead of the fake's answer."""


class FrameFault(Struct, frozen=True, kw_only=True):
    """One thing that goes wrong with WebSocket frames that are data (those with a topic)."""

    kind: FrameKind
    times: int = 1
    """How often it strikes; 0 = always."""
    after: int = 0
    """How many frames it lets pass first."""
    old: str = ""
    """For ``replace``: the text that is exchanged; frames without it pass and don't count."""
    new: str = ""
    alter: Callable[[str], str] | None = None
    """For ``altered``: what is sent instead of the frame."""


class _Armed:
    __slots__ = ("fault", "left", "wait")

    def __init__(self, fault: WireFault | FrameFault) -> None:
        self.fault, self.left, self.wait = fault, fault.times or -1, fault.after

    def strikes(self) -> bool:
        """Count one chance."""
        if self.wait:
            self.wait -= 1
            return False
        self.left -= 1
        return True


class WireFaults:
    """The faults that are armed. ``fired`` keeps what struck, in order."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self.fired: list[WireFault | FrameFault] = []
        self.mute = False
        """Nothing is sent on any WebSocket, not even a pong; what comes meanwhile is lost."""
        self.refuse_sockets = False
        """New WebSocket connections are refused with 503."""

    def add(self, *faults: WireFault | FrameFault) -> None:
        """Arm."""
        self._armed.extend(_Armed(fault) for fault in faults)

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()
        self.mute = self.refuse_sockets = False

    def request(self, operation: str) -> WireFault | None:
        """The first fault that strikes a request of this operation now."""
        for armed in self._armed:
            fault = armed.fault
            if isinstance(fault, WireFault) and fault.operation in ("*", operation) and self._hit(armed):
                return fault
        return None

    def frame(self, text: str) -> FrameFault | None:
        """The first fault that strikes this frame now."""
        for armed in self._armed:
            fault = armed.fault
            if isinstance(fault, FrameFault) and fault.old in text and self._hit(armed):
                return fault
        return None

    def _hit(self, armed: _Armed) -> bool:
        if not armed.strikes():
            return False
        if armed.left == 0:
            self._armed.remove(armed)
        self.fired.append(armed.fault)
        return True
