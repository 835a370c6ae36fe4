"""The pure parts: frames, the join of stream and snapshot, what the plugin offers."""

from __future__ import annotations

import json
from typing import Any

import anyio
import exgate_binance
import pytest
from exgate_binance import parse
from exgate_binance.dialect import BinanceDialect
from exgate_binance.exchange import Binance
from exgate_binance.joining import Join
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError

from exgate_core.book import Book
from exgate_core.errors import Unavailable
from exgate_core.fetch import Response, decode
from exgate_core.models import AccountCapabilities, Depth, DepthDelta, ExchangeCapabilities, Side, Trade
from exgate_core.sockets import Control


def test_both_exchanges_are_offered() -> None:
    offered: dict[str, dict[str, Any]] = {}
    exgate_binance.register_exchanges(lambda name, **sides: offered.__setitem__(name, sides))
    public: dict[str, ExchangeCapabilities] = {n: sides["exchange_capabilities"] for n, sides in offered.items()}
    assert {name: (it.weight_limit, it.trades_reach) for name, it in public.items()} == {
        "binance": (6000, None),
        "binanceus": (1200, 1000),
    }
    for sides in offered.values():
        private: AccountCapabilities = sides["account_capabilities"]
        assert sides["account"] is exgate_binance.BinanceAccount
        assert (private.order_recovery, private.settle, private.real) == ("full", 20.0, True)
    assert "strategyId" not in offered["binanceus"]["account_capabilities"].options


def test_a_raw_trade() -> None:
    frame = (
        b'{"stream":"bnbbtc@trade","data":{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.00100000",'
        b'"q":"100","T":1672515782136,"m":true,"M":true}}'
    )
    assert parse.raw_trade_frame(frame) == Trade(
        id="12345", price="0.00100000", qty="100", time=1672515782136, taker_side="sell"
    )


numerals = st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,20})?", fullmatch=True)


@given(st.integers(0, 2**63 - 1), numerals, numerals, st.booleans())
def test_every_digit_of_a_trade_survives(number: int, price: str, amount: str, maker: bool) -> None:
    row = {"t": number, "a": number, "p": price, "q": amount, "T": 5, "m": maker, "l": number}
    frame = json.dumps({"stream": "x@trade", "data": row}).encode()
    side: Side = "sell" if maker else "buy"
    for read in (parse.raw_trade_frame, parse.aggregate_trade_frame):
        assert read(frame) == Trade(id=str(number), price=price, qty=amount, time=5, taker_side=side)


@given(st.lists(st.tuples(numerals, numerals), max_size=5), st.lists(st.tuples(numerals, numerals), max_size=5))
def test_every_digit_of_a_book_survives(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
    body = json.dumps({"lastUpdateId": 2**62 + 1, "bids": bids, "asks": asks}).encode()
    assert parse.depth(parse.DEPTH.decode(body)) == Depth(bids=bids, asks=asks, last_update_id=2**62 + 1)


def test_numbers_that_are_not_text_are_refused() -> None:
    with pytest.raises(ValidationError):
        parse.raw_trade_frame(b'{"stream":"x@trade","data":{"t":1,"p":0.1,"q":"1","T":1,"m":true}}')


class _Listing:
    """The context of an exchange whose market list is this text."""

    name, settings, sandbox = "binance", None, False

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.sleep, self.base_url = anyio.sleep, "https://exchange"

    def http(self, *_: object, **__: object) -> _Listing:
        return self

    def ws(self, *_: object) -> None:
        return None

    async def get_json(self, path: str, decoder: Any, **_: object) -> Any:
        return decode(Response(200, {}, self._body), decoder)


@pytest.mark.anyio
@pytest.mark.parametrize("change", [("PRICE_FILTER", 5), ("symbol", None), ("filters", "x"), ("baseAsset", 1.5)])
async def test_a_market_that_cant_be_read_makes_the_list_no_answer(change: tuple[str, object]) -> None:
    one = {"symbol": "AB", "status": "TRADING", "baseAsset": "A", "quoteAsset": "B", "isSpotTradingAllowed": True}
    fine = {**one, "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.1"}]}
    field, value = change
    broken = {**fine, **({"filters": [{"filterType": value}]} if field == "PRICE_FILTER" else {field: value})}

    async def listed(*symbols: object) -> list[str]:
        adapter = Binance(_Listing(json.dumps({"symbols": symbols}).encode()))  # type: ignore[arg-type]
        return [market.tick_size for market in await adapter.markets()]

    assert await listed(fine, fine) == ["0.1", "0.1"]
    with pytest.raises(Unavailable) as caught:
        await listed(fine, broken)
    assert caught.value.reason == "BAD_ANSWER"


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (b'{"stream":"btcusdt@trade","data":{"p":', "btcusdt@trade"),
        ('{"stream":"币usdt@trade","data":{}}'.encode(), "币usdt@trade"),
        (b'{ "data" : {}, "stream" : "btcusdt@trade" }', "btcusdt@trade"),
        (rb'{"stream":"\u0062tcusdt@trade","data":{}}', "btcusdt@trade"),
        (b'{"result":null,"id":7}', Control("confirmed", 7)),
        (b'{"code":2,"msg":"Invalid request","id":7}', Control("rejected", 7, message="2 Invalid request")),
        (b'{"error":{"code":2,"msg":"Invalid request"},"id":7}', Control("rejected", 7, message="2 Invalid request")),
        (b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}', Control("replace")),
        (b'{"e":"serverShutdown","E":1770123456789}', Control("replace")),
        (b'{"e":"somethingNew"}', Control("ignored")),
    ],
)
def test_what_a_frame_is(frame: bytes, what: str | Control) -> None:
    assert BinanceDialect().route(frame) == what


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"<html>",
        b'{"stream":"btc',
        b'{"code":3,"msg":"Invalid JSON"}',
        b'{"data":{}}',
        b'{"e":"trade","s":"BTCUSDT"}',
    ],
)
def test_frames_that_belong_to_nothing_are_errors(frame: bytes) -> None:
    with pytest.raises(ValueError):
        BinanceDialect().route(frame)


def test_messages() -> None:
    dialect = BinanceDialect()
    assert json.loads(dialect.subscribe(["a@trade", "b@depth"], 3)) == {
        "method": "SUBSCRIBE",
        "params": ["a@trade", "b@depth"],
        "id": 3,
    }
    assert json.loads(dialect.unsubscribe(["a@trade"], 4))["method"] == "UNSUBSCRIBE"
    assert dialect.limits.topics == 1024 and dialect.limits.rate < 5 and dialect.limits.lifetime < 24 * 3600


def event(first: int, last: int) -> parse.DepthEvent:
    return parse.DepthEvent(E=0, U=first, u=last, b=[], a=[])


def joined(*steps: parse.DepthEvent | int) -> tuple[list[tuple[int, int]], list[bool]]:
    """Deltas (previous, sequence) after the snapshot; an int is a snapshot with that id."""
    out: list[Any] = []
    join = Join(out.append)
    fits = []
    for step in steps:
        if isinstance(step, int):
            fits.append(join.snapshot(Depth(bids=[], asks=[], last_update_id=step)))
        else:
            join.event(step)
    return [(item.previous, item.sequence) for item in out if isinstance(item, DepthDelta)], fits


def test_the_rule_of_joining() -> None:
    assert joined(event(10, 12), event(13, 15), event(16, 18), 13) == ([(13, 15), (15, 18)], [True])
    assert joined(event(10, 12), 9) == ([], [False])
    assert joined(event(10, 12), 9, event(13, 13), 12) == ([(12, 13)], [False, True])
    assert joined(20, event(15, 20), event(21, 22)) == ([(20, 22)], [True])
    assert joined(20, event(22, 23), event(24, 24)) == ([(21, 23), (23, 24)], [True])


@st.composite
def doubled(draw: st.DrawFn) -> tuple[list[parse.DepthEvent], int, int]:
    """Events of which each comes once or twice, the second copy at any later time; a snapshot id; the last id."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=30))
    events, order, start = [], [], 100
    for position, size in enumerate(sizes):
        events.append(event(start, start + size - 1))
        start += size
        order.append(events[-1])
        if draw(st.booleans()):
            order.append(events[draw(st.integers(0, position))])
    return order, draw(st.integers(100, start - 1)), start - 1


@given(doubled(), st.integers(1, 60))
def test_two_copies_of_a_stream_make_one_book(stream: tuple[list[parse.DepthEvent], int, int], cut: int) -> None:
    """What a replaced connection delivers: the book is right and never broken."""
    order, snapshot, last = stream
    book = Book()
    verdicts: list[bool] = []

    def emit(item: Depth | DepthDelta | None) -> None:
        if item is not None:
            verdicts.append(book.reset(item) if isinstance(item, Depth) else book.apply(item))

    join = Join(emit)
    for one in order[:cut]:
        join.event(one)
    assert join.snapshot(Depth(bids=[], asks=[], last_update_id=snapshot))
    for one in order[cut:]:
        join.event(one)
    assert all(verdicts) and book.sequence == max(snapshot, last)
