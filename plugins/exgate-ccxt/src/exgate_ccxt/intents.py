"""What a request is meant to do, and what became of it: one intent lives in the context of one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from exgate_core.models import Market, OrderRequest

Operation = Literal["place", "cancel", "read"]


class Evidence:
    """What one call found in its answers; ``exgate_ccxt.truth.NOTE`` of the call."""

    def __init__(self) -> None:
        self.status, self.url = 0, ""
        """Of the last answer."""
        self.told = False
        """The exchange's answer is an error that ccxt knows as one."""
        self.listed = False
        """A list that was looked for was there, with or without anything in it."""
        self.is_list = False
        """The answers of this exchange are lists themselves, through which ccxt goes without looking anything up."""
        self.map_at = ""
        """The end of the address where they are objects of nothing but lists."""
        self._empty = False
        self._hollow: Any = None
        self._parts: dict[int, Any] = {}

    @property
    def nothing(self) -> bool:
        """The list or object that was looked for was there and empty."""
        return self._empty or self._hollow is not None

    def watch(self, answer: Any, parsed: Any) -> Any:
        """A decoded answer on its way to ccxt."""
        self._parts.update((id(part), part) for part in _containers(parsed))
        if self.is_list and isinstance(parsed, list) and all(parsed):
            self.read(parsed)
        mapped = bool(self.map_at) and answer.url.endswith(self.map_at) and isinstance(parsed, dict)
        if mapped and all(isinstance(rows, list) for rows in parsed.values()):
            self.listed, self._empty = True, self._empty or not parsed
        return parsed

    def looked_up(self, container: Any, value: Any) -> None:
        """ccxt looked into ``container`` and found ``value``; None = nothing."""
        if container is self._hollow:
            self._hollow = None  # it was only on the way to something, which isn't there
        if id(container) in self._parts and isinstance(container, dict):  # a row of a list is not the list
            self.read(value)

    def read(self, value: Any) -> None:
        """ccxt has what it looked for."""
        if id(value) not in self._parts:
            return
        if isinstance(value, list):
            self.listed, self._empty = True, self._empty or not value
        elif not value:
            self._hollow = value


@dataclass
class Intent:
    """One call's intent. ``place`` and ``cancel`` may send exactly one request; ``read`` any that change nothing."""

    operation: Operation
    market: Market | None = None
    ids: tuple[str, ...] = ()
    """The spellings of the whole market at this exchange."""
    base_ids: tuple[str, ...] = ()
    quote_ids: tuple[str, ...] = ()
    order: OrderRequest | None = None
    order_id: str = ""
    client_order_id: str = ""
    sends: int = 0
    """Requests handed to the network."""
    status: int = 0
    """The HTTP status of the last answer; 0 = none came."""
    body: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)


CURRENT: ContextVar[Intent | None] = ContextVar("exgate_ccxt_intent", default=None)
"""The intent of the running call; None outside of the private operations."""


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)
