"""Books of streams of which there are no recordings: frames of the shapes that documents show, and one that is missing.

Bybit: "Orderbook"; Crypto.com: "book.{instrument_name}.{depth}"; Gate: "Order Book V2 API"; Gemini: "Level 2 Data";
HTX: "Market By Price (incremental update)"; KuCoin: "Orderbook - Increment". The values are made up.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from exgate_ccxt import loading
from exgate_ccxt.streams import pull_depth
from frames import SAMPLES, Sample, kucoin_ack, packed
from streaming import Copy
from test_streams_samples import listing, send, serving

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio

BIDS, ASKS = (
    [["64000.10", "0.00000001"], ["0.00000637", "123456789012345678.90"]],
    [["64000.2", "1.50"], ["64001", "2"]],
)
"""What each book is in the end."""


def bybit(kind: str, bids: str, asks: str, number: int) -> str:
    return (
        f'{{"topic":"orderbook.50.BTCUSDT","type":"{kind}","ts":1672304484978,"data":{{"s":"BTCUSDT","b":{bids},'
        f'"a":{asks},"u":{number},"seq":{7961638724 + number}}},"cts":1672304484976}}'
    )


def cryptocom(kind: str, body: str) -> str:
    return (
        '{"id":-1,"method":"subscribe","code":0,"result":{"instrument_name":"BTC_USDT","subscription":'
        f'"book.BTC_USDT.50","channel":"{kind}","depth":50,"data":[{{{body},"t":1654780033786,"tt":1654780033755}}]}}}}'
    )


def gate(body: str) -> str:
    return (
        '{"channel":"spot.obu","event":"update","time_ms":1743673617250,"result":'
        f'{{"t":1743673617242,"s":"ob.BTC_USDT.50",{body}}}}}'
    )


def gemini(changes: str, more: str = "") -> str:
    return f'{{"type":"l2_updates","symbol":"BTCUSD","changes":{changes}{more}}}'


def htx(number: int, body: str, previous: int = 0) -> bytes:
    before = previous or number - 1
    tick = f'{{"seqNum":{number},"prevSeqNum":{before},{body}}}'
    return packed(f'{{"ch":"market.btcusdt.mbp.150","ts":1573199608679,"tick":{tick}}}')


def htx_ack(message: dict[str, Any]) -> list[Any]:
    if "req" not in message:
        return [packed(json.dumps({"id": message.get("id"), "status": "ok", "subbed": message.get("sub")}))]
    book = '"bids":[[6.37E-6,123456789012345678.90],[63999.0,1]],"asks":[[64000.2,7],[64001,2]]'
    answer = f'"rep":"{message["req"]}","status":"ok","ts":1573199608678,"data":{{"seqNum":12,{book}}}'
    return [packed(f'{{"id":"{message["id"]}",{answer}}}')]


def kucoin(first: int, last: int, bids: str = "[]", asks: str = "[]") -> str:
    return (
        '{"topic":"/market/level2:BTC-USDT","type":"message","subject":"trade.l2update","data":{"changes":'
        f'{{"asks":{asks},"bids":{bids}}},"sequenceEnd":{last},"sequenceStart":{first},"symbol":"BTC-USDT",'
        '"time":1663747970273}}'
    )


BOOKS = {
    "bybit": Sample(
        "BTCUSDT",
        (
            bybit("snapshot", '[["63999.0","1"],["0.00000637","1"]]', '[["64000.2","7"],["64001","2"]]', 1),
            bybit("delta", '[["63999.0","0"],["64000.10","0.00000001"]]', '[["64000.2","1.50"]]', 2),
            bybit("delta", '[["0.00000637","123456789012345678.90"]]', "[]", 3),
        ),
        (),
        ack=lambda message: [
            json.dumps({"success": True, "ret_msg": "", "op": "subscribe", "req_id": message["req_id"]})
        ],
    ),
    "cryptocom": Sample(
        "BTC_USDT",
        (
            cryptocom(
                "book",
                '"bids":[["63999.0","1","1"],["0.00000637","1","0"]],"asks":[["64000.2","7","0"],["64001","2","0"]],"u":10',
            ),
            cryptocom(
                "book.update",
                '"update":{"bids":[["63999.0","0","0"],["64000.10","0.00000001","0"]],"asks":[["64000.2","1.50","2"]]},'
                '"u":17,"pu":10',
            ),
            cryptocom(
                "book.update", '"update":{"bids":[["0.00000637","123456789012345678.90","0"]],"asks":[]},"u":18,"pu":17'
            ),
        ),
        (),
        ack=lambda message: [json.dumps({"id": message.get("id", 1), "method": "subscribe", "code": 0})],
    ),
    "gate": Sample(
        "BTC_USDT",
        (
            gate('"full":true,"u":10,"b":[["63999.0","1"],["0.00000637","1"]],"a":[["64000.2","7"],["64001","2"]]'),
            gate('"U":11,"u":17,"b":[["63999.0","0"],["64000.10","0.00000001"]],"a":[["64000.2","1.50"]]'),
            gate('"U":18,"u":18,"b":[["0.00000637","123456789012345678.90"]]'),
        ),
        (),
        ack=SAMPLES["gate"].ack,
    ),
    "gemini": Sample(
        "btcusd",
        (
            gemini(
                '[["buy","63999.0","1"],["buy","0.00000637","1"],["sell","64000.2","7"],["sell","64001","2"]]',
                ',"trades":[],"auction_events":[]',
            ),
            gemini('[["buy","63999.0","0"],["buy","64000.10","0.00000001"],["sell","64000.2","1.50"]]'),
            gemini('[["buy","0.00000637","123456789012345678.90"]]'),
        ),
        (),
    ),
    "htx": Sample(
        "btcusdt",
        (
            htx(12, '"bids":[[1,1]],"asks":[]'),
            htx(13, '"bids":[[63999.0,0],[64000.10,1E-8]],"asks":[[64000.2,1.50]]'),
            htx(20, '"bids":[],"asks":[]', previous=13),
        ),
        (),
        ack=htx_ack,
    ),
    "kucoin": Sample(
        "BTC-USDT",
        (
            kucoin(8, 9, '[["1","1","9"]]'),
            kucoin(10, 10, '[["1","0","10"]]'),
            kucoin(11, 12, '[["63999.0","0","12"]]', '[["64000.2","1.50","11"]]'),
            kucoin(13, 13, '[["64000.10","0.00000001","13"]]'),
            kucoin(14, 14, '[["0","0","14"]]', '[["0","5","14"]]'),
            kucoin(15, 15, '[["0.00000637","123456789012345678.90","15"]]'),
        ),
        (),
        ack=kucoin_ack,
        greeting=SAMPLES["kucoin"].greeting,
        rest='{"code":"200000","data":{"time":1663747970273,"sequence":"10","bids":[["63999.0","1"],["0.00000637","1"]],'
        '"asks":[["64000.2","7"],["64001","2"]]}}',
    ),
}
MISSING = {
    "cryptocom": cryptocom("book.update", '"update":{"bids":[["1","1","1"]],"asks":[]},"u":30,"pu":29'),
    "gate": gate('"U":20,"u":21,"b":[["1","1"]]'),
    "htx": htx(31, '"bids":[[1,1]],"asks":[]', previous=30),
    "kucoin": kucoin(17, 17, '[["1","1","17"]]'),
}
"""A frame that doesn't follow the last one."""
LEVELS = {"bybit": 50, "cryptocom": 50, "gate": 50, "gemini": 50, "htx": 150, "kucoin": 100}


@pytest.mark.parametrize("name", BOOKS)
async def test_a_book_of_documented_frames_and_what_a_missing_one_does(name: str) -> None:
    sample, runtime, copy = BOOKS[name], Runtime(), Copy(name, LEVELS[name])
    budget, seen, whole, over = (
        Budget(10**6, 1, runtime.clock, runtime.sleep),
        list[Any](),
        anyio.Event(),
        anyio.Event(),
    )

    def take(item: Any) -> None:
        copy.take(item)
        top = copy.book.top(25) if copy.book.in_sync else None
        seen.append(top and [list(map(list, top.bids)), list(map(list, top.asks))])
        if seen[-1] == [BIDS, ASKS]:
            whole.set()

    async def missing(socket: Any) -> None:
        await whole.wait()
        if name in MISSING:
            await send(socket, MISSING[name])

    async def pull(side: Any, market: Any) -> None:
        with pytest.raises(Exception, match=r"frame is missing|checksum"):
            await pull_depth(side, market, LEVELS[name], take)
        over.set()

    async with serving(sample, missing) as url, Transport(budget, runtime, upstream_prefix=url) as transport:
        context, listed = transport.context(name), listing(name, sample.market)
        client = await loading.open_client(context, name, private=False, streams=True, listing=listed)
        side = SimpleNamespace(client=client, context=context)
        try:
            with anyio.move_on_after(5):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(pull, side, listed.table.values[0])
                    await (over if name in MISSING else whole).wait()
                    tasks.cancel_scope.cancel()
        finally:
            await loading.close_client(client)
    assert seen[-1:] == [[BIDS, ASKS]], seen
    assert over.is_set() == (name in MISSING)
