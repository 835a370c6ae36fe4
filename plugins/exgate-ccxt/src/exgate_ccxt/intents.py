"""What a request is meant to do, and what became of it: one intent lives in the context of one call."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from exgate_core.models import Market, OrderRequest

Operation = Literal["place", "cancel", "read"]


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
    headers: Mapping[str, str] = field(default_factory=dict)


CURRENT: ContextVar[Intent | None] = ContextVar("exgate_ccxt_intent", default=None)
"""The intent of the running call; None outside of the private operations."""
