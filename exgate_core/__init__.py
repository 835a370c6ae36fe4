"""ExGate: one language-neutral API in front of every spot exchange. These names are what plugins may import."""

from .errors import ExGateError, NotFound, NotSent, RateLimited, Refused
from .hookspecs import EXGATE_API, hookimpl
from .models import (
    AccountCapabilities,
    Balance,
    Call,
    CancelResult,
    ClientIds,
    Depth,
    DepthDelta,
    ExchangeCapabilities,
    Market,
    Option,
    Order,
    OrderRequest,
    Trade,
)

__version__ = "0.1.0"

__all__ = [
    "EXGATE_API",
    "AccountCapabilities",
    "Balance",
    "Call",
    "CancelResult",
    "ClientIds",
    "Depth",
    "DepthDelta",
    "ExGateError",
    "ExchangeCapabilities",
    "Market",
    "NotFound",
    "NotSent",
    "Option",
    "Order",
    "OrderRequest",
    "RateLimited",
    "Refused",
    "Trade",
    "hookimpl",
]
