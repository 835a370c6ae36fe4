"""Every HTTP operation as data: the routes are made from this table, and so is the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from msgspec import Struct

from . import wire
from .models import Market
from .requests import CancelBody, PlaceBody

DEFAULT_LIMIT = 500
"""Levels a side, or trades, where a caller names no limit."""
MAX_LEVELS = 5000
MAX_TRADES = 1000


class Parameter(NamedTuple):
    """One parameter of a path or a query; ``kind`` is an OpenAPI type, ``int64`` a string that holds one."""

    name: str
    where: Literal["path", "query", "header"]
    kind: Literal["string", "int64", "boolean"] = "string"
    description: str = ""
    required: bool = False


class Operation(NamedTuple):
    """One method of one path."""

    id: str
    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    answer: Any
    """The type of a successful answer; None = a JSON object that says what it holds by itself."""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    quiet: bool = False
    """Asking changes and starts nothing, so HEAD may run it."""
    private: bool = False
    """It shows an account, so HEAD asks the guard like GET."""

    @property
    def known(self) -> frozenset[str]:
        """The names of the query parameters."""
        return frozenset(parameter.name for parameter in self.parameters if parameter.where == "query")


_EXTENDED = Parameter("extended", "query", "boolean", "Adds fields that the plain answer doesn't have.")
_SYMBOL = Parameter("symbol", "query", description="交易对名称.")
_KEY = Parameter("Idempotency-Key", "header", description="The same key never places a second order.")


def _exchange(description: str = "交易所名称") -> Parameter:
    return Parameter("exchange", "path", description=description, required=True)


def _read(limit: str, symbol: str) -> tuple[Parameter, ...]:
    return (
        Parameter("symbol", "query", description=symbol),
        Parameter("limit", "query", "int64", limit),
        Parameter("isLocal", "query", "boolean", "本地."),
        Parameter("tolerate_interval", "query", "int64", "允许延迟间隔单位:秒."),
        _EXTENDED,
    )


class MarketsResponse(Struct):
    """Every spot market of an exchange with its rules."""

    markets: list[Market] = []


OPERATIONS = (
    Operation(
        "ExGate_SpotBalances",
        "GET",
        "/v1/{exchange}/balances",
        "获取用户资产",
        wire.BalancesResponse,
        (_exchange(""), _EXTENDED),
        private=True,
    ),
    Operation(
        "ExGate_SpotCancelOrder",
        "POST",
        "/v1/{exchange}/cancel",
        "Cancel an order",
        wire.CancelOrderResponse,
        (_exchange(), _EXTENDED),
        CancelBody,
    ),
    Operation(
        "ExGate_SpotDepth",
        "GET",
        "/v1/{exchange}/depth",
        "获取深度",
        wire.DepthResponse,
        (_exchange("交易所"), *_read("数量.", "币种.")),
    ),
    Operation(
        "ExGate_SpotPlaceOrder",
        "POST",
        "/v1/{exchange}/order",
        "Place an order",
        wire.PlaceOrderResponse,
        (_exchange(), _KEY, _EXTENDED),
        PlaceBody,
    ),
    Operation(
        "ExGate_SpotPendingOrders",
        "GET",
        "/v1/{exchange}/pending_orders",
        "Open orders",
        wire.PendingOrdersResponse,
        (_exchange(), _SYMBOL, _EXTENDED),
        private=True,
    ),
    Operation(
        "ExGate_PullSpotTrade",
        "GET",
        "/v1/{exchange}/pull_trade",
        "拉取现货逐笔交易，走websocket",
        wire.PullTradeResponse,
        (_exchange(), _SYMBOL, _EXTENDED),
    ),
    Operation(
        "ExGate_GetRecentTradesList",
        "GET",
        "/v1/{exchange}/recent_trades",
        "Recent trades, oldest first",
        wire.TradesResponse,
        (_exchange("required 交易所名称"), *_read("required 分页页码.", "required 币种.")),
    ),
    # Beyond the seed.
    Operation(
        "ExGate_StopSpotTrade",
        "DELETE",
        "/v1/{exchange}/pull_trade",
        "Let go of a pulled stream",
        wire.PullTradeResponse,
        (_exchange(), _SYMBOL, _EXTENDED),
    ),
    Operation(
        "ExGate_FindOrder",
        "GET",
        "/v1/{exchange}/order",
        "One order, open or not, from the journal and the exchange",
        wire.ExtendedOrderRow,
        (
            _exchange(),
            Parameter("order_id", "query"),
            Parameter("client_order_id", "query"),
            _SYMBOL,
            _EXTENDED,
        ),
        private=True,
    ),
    Operation("ExGate_Exchanges", "GET", "/v1/exchanges", "What this gateway serves", None, (_EXTENDED,), quiet=True),
    Operation(
        "ExGate_Capabilities",
        "GET",
        "/v1/{exchange}/capabilities",
        "What an exchange can do, for programs",
        None,
        (_exchange(), _EXTENDED),
    ),
    Operation(
        "ExGate_Markets",
        "GET",
        "/v1/{exchange}/markets",
        "The spot markets with their rules",
        MarketsResponse,
        (_exchange(), _EXTENDED),
    ),
    Operation("ExGate_Pulls", "GET", "/v1/{exchange}/pulls", "The running streams", None, (_exchange(), _EXTENDED)),
    Operation("ExGate_OpenApi", "GET", "/openapi.json", "This document", None, quiet=True),
    Operation("ExGate_Health", "GET", "/healthz", "200 while the process answers", None, quiet=True),
    Operation("ExGate_Ready", "GET", "/readyz", "200 while orders and reads are taken", None, quiet=True),
)
"""The seed's seven operations in its order, then ExGate's own."""
