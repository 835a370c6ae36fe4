"""Frames of a stream that are spelt in another way than usual, and frames that can't be read: nothing is ever lost.

One table for all adapters, each over its fake and a whole gateway.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw

pytest.importorskip("exgate_testing")

from exgate_testing.cases_books import Watch
from exgate_testing.house import eventually, open_house
from exgate_testing.serving import running
from exgate_testing.subjects import subject

pytestmark = pytest.mark.anyio

EXCHANGES = {"binance": "exgate_binance", "okx": "exgate_okx", "kraken": "exgate_kraken"}
SIGNS = re.compile(r'("(?:[^"\\]|\\.)*")|([{}\[\]:,])')
ALL = 10**9
Change = Callable[[str], str]


def with_blanks(text: str) -> str:
    return " " + SIGNS.sub(lambda found: found[1] or f" {found[2]} ", text)


def in_other_order(text: str) -> str:
    members = msgspec.json.decode(text, type=dict[str, Raw])
    return msgspec.json.encode(dict(reversed(members.items()))).decode()


def with_escapes(text: str) -> str:
    strings = SIGNS.sub(lambda found: found[0].replace("/", "\\/").replace("t", "\\u0074"), text)
    return strings.replace("\\u0074rue", "true")


def of_next_year(text: str) -> str:
    return text[:-1] + ',"new":{"symbol":"X","list":[1]}}'


SPELLINGS: dict[str, Change] = {
    "blanks": with_blanks,
    "other order": in_other_order,
    "escapes": with_escapes,
    "a further member": of_next_year,
}
UNREADABLE: dict[str, Change] = {
    "half": lambda text: text[: len(text) // 2],
    "no JSON": lambda text: "<html>one moment</html>",
    "empty": lambda text: "",
    "no topic": lambda text: '{"data":' + text + "}",
    "NaN": lambda text: re.sub(r'("?)[0-9]+\.[0-9]+("?)', r"\1NaN\2", text),
    "below zero": lambda text: re.sub(r'("?)([0-9]+\.[0-9]+)("?)', r"\1-\2\3", text),
    "a bomb": lambda text: re.sub(r'("?)[0-9]+\.[0-9]+("?)', r"\g<1>1e999999999\2", text),
}


def changing_fake(exchange: str, change: Change) -> Any:
    """The fake of an exchange, of whose frames with data the next ``left`` are changed."""
    base: Any = subject(exchange).fake

    def opened(self: Any, session: Any) -> None:
        send = session.send

        def changed(text: str, topic: str = "") -> None:
            strikes = bool(topic) and fake.left > 0
            fake.left -= strikes
            send(change(text) if strikes else text, topic)

        session.send = changed
        base.opened(self, session)

    fake: Any = type("Changing", (base,), {"opened": opened, "left": 0})
    return fake


def missing(exchange: str) -> None:
    pytest.importorskip(EXCHANGES[exchange])


def ids(tap: Any) -> list[int]:
    return [int(trade["trade_id"]) for trade in tap.trades]


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_frame_is_read_however_it_is_spelt(exchange: str, spelling: str) -> None:
    missing(exchange)
    fake = changing_fake(exchange, SPELLINGS[spelling])
    fake.left = ALL
    async with running(fake) as wire, open_house(subject(exchange, fake=fake), wire=wire) as house:
        house.crowd.books()
        watch = Watch(house)
        async with house.stream(house.market) as tap:
            house.crowd.trade(house.market, 6)
            await eventually(lambda: len(tap.trades) >= 6, "the trades")
            await watch.local("the first copy")
            house.crowd.rest(house.market, "buy", -9)
            await watch.local("a change")
        watch.stop()
        assert set(tap.statuses) <= {"starting", "live"} and fake.left < ALL - 2
        assert len(ids(tap)) == 6 and ids(tap) == sorted(set(ids(tap)))


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("kind", UNREADABLE)
async def test_a_trade_that_cannot_be_read_cuts_the_stream_and_is_filled_in(exchange: str, kind: str) -> None:
    missing(exchange)
    fake = changing_fake(exchange, UNREADABLE[kind])
    async with running(fake) as wire, open_house(subject(exchange, fake=fake), wire=wire) as house:
        async with house.stream(house.market) as tap:
            house.crowd.trade(house.market, 2)
            await eventually(lambda: len(tap.trades) >= 2, "the first trades")
            fake.left = 1
            house.crowd.trade(house.market, 1)
            await eventually(lambda: "reconnecting" in tap.statuses, "the cut")
            house.crowd.trade(house.market, 1)
            await eventually(lambda: "resumed" in tap.statuses and len(tap.trades) >= 4, "all trades")
        assert len(ids(tap)) == 4 and ids(tap) == sorted(set(ids(tap))) and "gap" not in tap.statuses
        assert all(re.fullmatch(r"[0-9]+(\.[0-9]+)?", trade["qty"]) for trade in tap.trades)


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("kind", UNREADABLE)
async def test_a_change_of_a_book_that_cannot_be_read_makes_a_new_copy(exchange: str, kind: str) -> None:
    missing(exchange)
    fake = changing_fake(exchange, UNREADABLE[kind])
    async with running(fake) as wire, open_house(subject(exchange, fake=fake), wire=wire) as house:
        house.crowd.books()
        watch = Watch(house)
        await watch.local("the first copy")
        fake.left = 1
        house.crowd.rest(house.market, "buy", -9)
        await watch.local("a change")
        watch.stop()
        assert fake.left == 0
