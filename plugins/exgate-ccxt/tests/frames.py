"""Frames of streams of which there are no recordings, of the shapes that documents show, and the trades in them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any, NamedTuple

Told = tuple[str, str, str, int, str | None]


class Sample(NamedTuple):
    """One exchange: what its market is called, its frames, and the trades that are in them."""

    market: str
    frames: tuple[Any, ...]
    trades: tuple[Told, ...]
    ack: Callable[[dict[str, Any]], list[Any]] = lambda message: []
    greeting: tuple[Any, ...] = ()
    rest: str = ""
    """The book that is asked for over HTTP."""


def packed(message: str) -> bytes:
    """HTX compresses each frame."""
    return gzip.compress(message.encode())


def mexc_frame(*deals: tuple[str, str, int, int]) -> bytes:
    """A protobuf frame of deals: price, quantity, 1 = buy or 2 = sell, time."""
    from ccxt.protobuf.mexc import PushDataV3ApiWrapper_pb2 as wrapper

    message = wrapper.PushDataV3ApiWrapper()
    message.channel = "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"
    message.symbol = "BTCUSDT"
    for price, quantity, kind, at in deals:
        deal = message.publicAggreDeals.deals.add()
        deal.price, deal.quantity, deal.tradeType, deal.time = price, quantity, kind, at
    return bytes(message.SerializeToString())


def gate(number: int, side: str, amount: str, price: str, at: str) -> str:
    return (
        '{"time":1700000000,"time_ms":1700000000123,"channel":"spot.trades","event":"update","result":'
        f'{{"id":{number},"create_time":1700000000,"create_time_ms":"{at}","side":"{side}",'
        f'"currency_pair":"BTC_USDT","amount":"{amount}","price":"{price}","range":"1-1"}}}}'
    )


def kucoin(trade_id: str, side: str, size: str, price: str, at: str) -> str:
    return (
        '{"topic":"/market/match:BTC-USDT","type":"message","subject":"trade.l3match","data":'
        f'{{"sequence":"10067644377825280","symbol":"BTC-USDT","side":"{side}","size":"{size}","price":"{price}",'
        f'"takerOrderId":"a","makerOrderId":"b","time":"{at}","type":"match","tradeId":"{trade_id}"}}}}'
    )


def poloniex(number: str, side: str, quantity: str, price: str, at: int) -> str:
    return (
        '{"channel":"trades","data":[{"symbol":"BTC_USDT","amount":"52.1821","takerSide":"'
        f'{side}","quantity":"{quantity}","createTime":{at},"price":"{price}","id":"{number}","ts":{at + 7}}}]}}'
    )


def gemini(number: str, side: str, quantity: str, price: str, at: int) -> str:
    return (
        f'{{"type":"trade","symbol":"BTCUSD","event_id":{number},"timestamp":{at},"price":"{price}",'
        f'"quantity":"{quantity}","side":"{side}"}}'
    )


def htx(*rows: tuple[str, str, str, str, str]) -> bytes:
    """Rows of id, trade id, amount, price and time."""
    data = ",".join(
        f'{{"id":{number},"ts":1700000000{at},"tradeId":{trade_id},"amount":{amount},"price":{price},"direction":"buy"}}'
        for number, trade_id, amount, price, at in rows
    )
    return packed(
        f'{{"ch":"market.btcusdt.trade.detail","ts":1700000000999,"tick":{{"id":105,"ts":1700000000999,"data":[{data}]}}}}'
    )


def kucoin_ack(message: dict[str, Any]) -> list[Any]:
    return [json.dumps({"id": message["id"], "type": "pong" if message["type"] == "ping" else "ack"})]


def bybit(trade_id: str, side: str, amount: str, price: str, at: int) -> str:
    row = f'"T":{at},"s":"BTCUSDT","S":"{side}","v":"{amount}","p":"{price}","L":"PlusTick","i":"{trade_id}","BT":false'
    return f'{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":{at + 1},"data":[{{{row}}}]}}'


def bitget(*rows: tuple[str, str, str, str, int]) -> str:
    data = ",".join(
        f'{{"ts":"{at}","price":"{price}","size":"{size}","side":"{side}","tradeId":"{number}"}}'
        for number, side, size, price, at in rows
    )
    return (
        '{"action":"update","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"},"ts":1700000000999,'
        f'"data":[{data}]}}'
    )


def cryptocom(number: str, side: str, quantity: str, price: str, at: int) -> str:
    row = f'"d":"{number}","t":{at},"p":"{price}","q":"{quantity}","s":"{side}","i":"BTC_USDT"'
    return (
        '{"id":-1,"method":"subscribe","code":0,"result":{"instrument_name":"BTC_USDT","subscription":"trade.BTC_USDT",'
        f'"channel":"trade","data":[{{{row}}}]}}}}'
    )


def upbit(number: int, side: str, volume: str, price: str, at: int) -> bytes:
    """Upbit sends JSON in binary frames, numbers without quotes."""
    return (
        f'{{"type":"trade","code":"USDT-BTC","timestamp":{at + 40},"trade_date":"2023-11-14","trade_time":"22:13:20",'
        f'"trade_timestamp":{at},"trade_price":{price},"trade_volume":{volume},"ask_bid":"{side}",'
        f'"prev_closing_price":1.0,"change":"RISE","change_price":1.0,"sequential_id":{number},'
        f'"stream_type":"REALTIME"}}'
    ).encode()


def bitvavo(trade_id: str, side: str, amount: str, price: str, at: int) -> str:
    return (
        f'{{"event":"trade","timestamp":{at},"market":"BTC-USDT","id":"{trade_id}","amount":"{amount}",'
        f'"price":"{price}","side":"{side}"}}'
    )


def bingx(number: str, maker: str, quantity: str, price: str, at: int) -> bytes:
    data = f'"E":{at + 9},"T":{at},"e":"trade","m":{maker},"p":"{price}","q":"{quantity}","s":"BTC-USDT","t":"{number}"'
    return packed(f'{{"code":0,"success":true,"dataType":"BTC-USDT@trade","data":{{{data}}}}}')


SAMPLES = {
    "bybit": Sample(
        "BTCUSDT",
        (
            bybit("2290000000068683804", "Buy", "0.00100000", "16578.50", 1_700_000_000_123),
            bybit("2290000000068683805", "Sell", "1", "0.00000637", 1_700_000_000_124),
        ),
        (
            ("2290000000068683804", "16578.50", "0.00100000", 1_700_000_000_123, "buy"),
            ("2290000000068683805", "0.00000637", "1", 1_700_000_000_124, "sell"),
        ),
        ack=lambda message: [json.dumps({"success": True, "ret_msg": "", "op": "subscribe", "req_id": "1"})],
    ),
    "bitget": Sample(
        "BTCUSDT",
        (
            bitget(
                ("1137908880212041730", "sell", "0.00000001", "26293.40", 1_700_000_000_124),
                ("1137908880212041729", "buy", "0.0013", "0.00000637", 1_700_000_000_124),
            ),
            bitget(("1137908880212041731", "buy", "2.0", "26293.4", 1_700_000_000_125)),
        ),
        (
            ("1137908880212041729", "0.00000637", "0.0013", 1_700_000_000_124, "buy"),
            ("1137908880212041730", "26293.40", "0.00000001", 1_700_000_000_124, "sell"),
            ("1137908880212041731", "26293.4", "2.0", 1_700_000_000_125, "buy"),
        ),
        ack=lambda message: [json.dumps({"event": "subscribe", "arg": message["args"][0]})],
    ),
    "cryptocom": Sample(
        "BTC_USDT",
        (
            cryptocom("4611686018455979969", "SELL", "0.000100", "51327.50", 1_700_000_000_123),
            cryptocom("4611686018455979970", "BUY", "1.0", "0.00000637", 1_700_000_000_124),
        ),
        (
            ("4611686018455979969", "51327.50", "0.000100", 1_700_000_000_123, "sell"),
            ("4611686018455979970", "0.00000637", "1.0", 1_700_000_000_124, "buy"),
        ),
        ack=lambda message: [json.dumps({"id": message.get("id", 1), "method": "subscribe", "code": 0})],
    ),
    "upbit": Sample(
        "USDT-BTC",
        (
            upbit(17000000001230000, "BID", "0.00014200", "100473000.00000000", 1_700_000_000_123),
            upbit(17000000001240000, "ASK", "1E-8", "0.00000637", 1_700_000_000_124),
        ),
        (
            ("17000000001230000", "100473000.00000000", "0.00014200", 1_700_000_000_123, "buy"),
            ("17000000001240000", "0.00000637", "0.00000001", 1_700_000_000_124, "sell"),
        ),
    ),
    "bitvavo": Sample(
        "BTC-USDT",
        (
            bitvavo("391f4d94-485f-4fb0-b11f-39da1cfcfc2d", "sell", "0.00096200", "8012.50", 1_700_000_000_123),
            bitvavo("391f4d94-485f-4fb0-b11f-39da1cfcfc2e", "buy", "1", "0.00000637", 1_700_000_000_124),
        ),
        (
            ("391f4d94-485f-4fb0-b11f-39da1cfcfc2d", "8012.50", "0.00096200", 1_700_000_000_123, "sell"),
            ("391f4d94-485f-4fb0-b11f-39da1cfcfc2e", "0.00000637", "1", 1_700_000_000_124, "buy"),
        ),
        ack=lambda message: [json.dumps({"event": "subscribed", "subscriptions": {"trades": ["BTC-USDT"]}})],
    ),
    "whitebit": Sample(
        "BTC_USDT",
        (
            '{"id":null,"method":"trades_update","params":["BTC_USDT",['
            '{"id":41358531,"time":1700000000.124332,"price":"0.00000637","amount":"5.0","type":"sell"},'
            '{"id":41358530,"time":1700000000.12333,"price":"20857.10","amount":"0.00000001","type":"buy"}]]}',
        ),
        (
            ("41358530", "20857.10", "0.00000001", 1_700_000_000_123, "buy"),
            ("41358531", "0.00000637", "5.0", 1_700_000_000_124, "sell"),
        ),
        ack=lambda message: [json.dumps({"id": message["id"], "result": {"status": "success"}, "error": None})],
    ),
    "bingx": Sample(
        "BTC-USDT",
        (
            bingx("57903921", "true", "0.1868000", "29110.10", 1_700_000_000_123),
            bingx("57903922", "false", "1", "0.00000637", 1_700_000_000_124),
        ),
        (
            ("57903921", "29110.10", "0.1868000", 1_700_000_000_123, "sell"),
            ("57903922", "0.00000637", "1", 1_700_000_000_124, "buy"),
        ),
        ack=lambda message: [packed(json.dumps({"id": message["id"], "code": 0, "msg": ""}))],
    ),
    "bitfinex": Sample(
        "tBTCUSD",
        (
            "[19111,[[401597392,1700000000122,-1E-8,0.00000637],[401597391,1700000000121,0.0050,7244.90]]]",
            '[19111,"te",[401597393,1700000000123,2.0,7245.30]]',
            '[19111,"tu",[401597393,1700000000123,2.0,7245.30]]',
            '[19111,"te",[401597394,1700000000124,-1,7245]]',
            '[19111,"tu",[401597394,1700000000124,-1,7245]]',
        ),
        (
            ("401597391", "7244.90", "0.0050", 1_700_000_000_121, "buy"),
            ("401597392", "0.00000637", "0.00000001", 1_700_000_000_122, "sell"),
            ("401597393", "7245.30", "2.0", 1_700_000_000_123, "buy"),
            ("401597394", "7245", "1", 1_700_000_000_124, "sell"),
        ),
        ack=lambda message: [
            json.dumps({"event": "subscribed", "channel": "trades", "chanId": 19111, "symbol": message["symbol"]})
        ],
    ),
    "gate": Sample(
        "BTC_USDT",
        (
            gate(7_654_321_098_765_432_1, "sell", "0.20100000", "0.00000637", "1700000000123.456000"),
            gate(7_654_321_098_765_432_2, "buy", "1", "64000.10", "1700000000124.0"),
        ),
        (
            ("76543210987654321", "0.00000637", "0.20100000", 1_700_000_000_123, "sell"),
            ("76543210987654322", "64000.10", "1", 1_700_000_000_124, "buy"),
        ),
        ack=lambda message: [
            json.dumps({**message, "event": "subscribe", "error": None, "result": {"status": "success"}})
        ],
    ),
    "kucoin": Sample(
        "BTC-USDT",
        (
            kucoin("10067644377825280", "buy", "0.00536570", "64000.10", "1700000000123456789"),
            kucoin("10067644377825281", "sell", "1.00000000", "0.00000001", "1700000000124456789"),
        ),
        (
            ("10067644377825280", "64000.10", "0.00536570", 1_700_000_000_123, "buy"),
            ("10067644377825281", "0.00000001", "1.00000000", 1_700_000_000_124, "sell"),
        ),
        ack=kucoin_ack,
        greeting=('{"id":"1","type":"welcome"}',),
    ),
    "mexc": Sample(
        "BTCUSDT",
        (
            lambda: mexc_frame(
                ("93220.00", "0.04438240", 2, 1_700_000_000_123), ("93220.01", "1", 1, 1_700_000_000_124)
            ),
        ),
        (
            ("", "93220.00", "0.04438240", 1_700_000_000_123, "sell"),
            ("", "93220.01", "1", 1_700_000_000_124, "buy"),
        ),
        ack=lambda message: [json.dumps({"id": message.get("id", 0), "code": 0, "msg": "spot@public"})],
    ),
    "poloniex": Sample(
        "BTC_USDT",
        (
            poloniex("62486976", "buy", "0.00053700", "24983.80", 1_700_000_000_123),
            poloniex("62486977", "sell", "2", "0.00000637", 1_700_000_000_124),
        ),
        (
            ("62486976", "24983.80", "0.00053700", 1_700_000_000_123, "buy"),
            ("62486977", "0.00000637", "2", 1_700_000_000_124, "sell"),
        ),
        ack=lambda message: [json.dumps({"event": message["event"], "channel": "trades", "symbols": ["BTC_USDT"]})],
    ),
    "gemini": Sample(
        "btcusd",
        (
            '{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","22252.37","0.02"]],"trades":['
            + gemini("9007199254740992", "sell", "0.03", "22250.00", 1_700_000_000_122)
            + ","
            + gemini("9007199254740991", "buy", "0.0070", "22250.0", 1_700_000_000_121)
            + "]}",
            gemini("9007199254740993", "buy", "0.00004470", "22269.10", 1_700_000_000_123),
            gemini("9007199254740994", "sell", "1", "0.10", 1_700_000_000_124),
        ),
        (
            ("9007199254740991", "22250.0", "0.0070", 1_700_000_000_121, "buy"),
            ("9007199254740992", "22250.00", "0.03", 1_700_000_000_122, "sell"),
            ("9007199254740993", "22269.10", "0.00004470", 1_700_000_000_123, "buy"),
            ("9007199254740994", "0.10", "1", 1_700_000_000_124, "sell"),
        ),
    ),
    "htx": Sample(
        "btcusdt",
        (
            htx(("100500000012345678901234567", "5957204", "0.003893", "9150.01", "123")),
            htx(
                ("100532865385255757382474787", "5957206", "2.0", "9150.02", "124"),
                ("100532865385255757466856372", "5957205", "1.1522E-4", "9150.010", "124"),
            ),
        ),
        (
            ("5957204", "9150.01", "0.003893", 1_700_000_000_123, "buy"),
            ("5957205", "9150.010", "0.00011522", 1_700_000_000_124, "buy"),
            ("5957206", "9150.02", "2.0", 1_700_000_000_124, "buy"),
        ),
        ack=lambda message: [
            packed(json.dumps({"id": message.get("id"), "status": "ok", "subbed": message.get("sub")}))
        ],
    ),
}
