"""Order types, fees and rules of the engine, one by one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from exgate_paper import Engine, PaperMarket
from exgate_paper.ledger import Accepted, Closed, Filled
from exgate_paper.rules import Fees
from paper_support import MARKET, engine, place

from exgate_core.errors import NotFound, Refused


def held(made: Engine, account: str) -> dict[str, tuple[Decimal, Decimal]]:
    return {row.asset: (Decimal(row.available), Decimal(row.frozen)) for row in made.balances(account)}


def test_better_price_first_then_older_order() -> None:
    made = engine()
    worse = place(made, "ann", "sell 1 @ 101")
    older = place(made, "ann", "sell 1 @ 100")
    newer = place(made, "ann", "sell 1 @ 100")
    place(made, "bob", "buy 2.5 @ 101")
    assert [fill.maker for fill in made.book("BTC/USDT").history.newest(9)] == [
        int(order.order_id) for order in (older, newer, worse)
    ]
    assert [trade.price for trade in made.trades("BTC/USDT", 9)] == ["100.00", "100.00", "101.00"]


def test_partial_fill_rests_and_holds_only_what_remains() -> None:
    made = engine()
    place(made, "ann", "sell 1 @ 100")
    order = place(made, "bob", "buy 3 @ 102")
    assert (order.status, order.filled, order.remaining) == ("partially_filled", "1.000", "2.000")
    assert held(made, "bob")["USDT"] == (Decimal(100_000 - 100 - 204), Decimal(204))


def test_fees_are_taken_exactly_from_what_is_received() -> None:
    made = engine(Fees.of("0.0002", "0.001"))
    place(made, "ann", "sell 0.011 @ 100.01")
    place(made, "bob", "buy 0.1 @ 100.01")
    assert held(made, "ann")["USDT"][0] == Decimal("100000") + Decimal("1.10011") * Decimal("0.9998")
    assert held(made, "bob")["BTC"][0] == Decimal(100) + Decimal("0.011") * Decimal("0.999")
    assert held(made, "fees")["BTC"][0] == Decimal("0.000011")


def test_ioc_takes_what_there_is_and_expires() -> None:
    made = engine()
    place(made, "ann", "sell 1 @ 100")
    order = place(made, "bob", "buy 3 @ 100", time_in_force="IOC")
    assert (order.status, order.filled) == ("expired", "1.000")
    assert held(made, "bob")["USDT"][1] == 0


def test_fok_takes_all_or_nothing() -> None:
    made = engine()
    place(made, "ann", "sell 1 @ 100")
    assert place(made, "bob", "buy 3 @ 100", time_in_force="FOK").filled == "0.000"
    assert place(made, "bob", "buy 1 @ 100", time_in_force="FOK").status == "filled"


def test_market_order_by_quote_amount_spends_at_most_that() -> None:
    made = engine()
    place(made, "ann", "sell 1 @ 100")
    place(made, "ann", "sell 1 @ 300")
    order = place(made, "bob", "buy 1", amount="", quote_amount="250")
    assert (order.status, order.amount, order.filled) == ("filled", "0", "1.500")
    assert held(made, "bob")["USDT"][0] == Decimal(100_000 - 250)


def test_market_order_into_an_empty_book_expires() -> None:
    assert place(engine(), "ann", "buy 1").status == "expired"


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        ("buy 1 @ 100.001", {}, "BAD_PRICE"),
        ("buy 1 @ 0", {}, "BAD_PRICE"),
        ("buy 0.0005 @ 100", {}, "BAD_AMOUNT"),
        ("buy 0 @ 100", {}, "BAD_AMOUNT"),
        ("buy 1e3 @ 100", {}, "BAD_AMOUNT"),
        ("buy 0.001 @ 100", {}, "MIN_NOTIONAL"),
        ("buy 1 @ 200", {"post_only": True}, "WOULD_TAKE"),
        ("buy 9999 @ 100", {}, "INSUFFICIENT_BALANCE"),
        ("sell 101", {}, "INSUFFICIENT_BALANCE"),
        ("buy 1 @ 100", {"quote_amount": "5"}, "BAD_AMOUNT"),
    ],
)
def test_refused_orders_change_nothing(text: str, more: dict[str, object], reason: str) -> None:
    made = engine()
    place(made, "ann", "sell 1 @ 150")
    before = made.snapshot()
    with pytest.raises(Refused) as refused:
        place(made, "bob", text, **more)
    assert refused.value.reason == reason
    assert made.snapshot() == before


def test_post_only_order_that_rests_is_accepted() -> None:
    made = engine()
    place(made, "ann", "sell 1 @ 150")
    assert place(made, "bob", "buy 1 @ 149.99", post_only=True).post_only


def test_client_order_id_is_free_again_after_the_fill_and_both_are_found() -> None:
    made = engine()
    place(made, "ann", "sell 1 @ 100", client_order_id="one")
    with pytest.raises(Refused, match="in use"):
        place(made, "ann", "sell 1 @ 100", client_order_id="one")
    place(made, "bob", "buy 1 @ 100", client_order_id="one")
    second = place(made, "ann", "sell 2 @ 100", client_order_id="one")
    found = made.find("ann", None, "", "one")
    assert [order.status for order in found] == ["filled", "open"]
    assert len(made.ledger.accepted("one", "ann")) == 2
    assert made.cancel("ann", "", "one").status == "canceled"
    assert made.find("ann", "BTC/USDT", second.order_id, "")[0].status == "canceled"


def test_client_order_ids_can_be_unique_for_ever() -> None:
    made = engine(client_ids="ever")
    made.cancel("ann", place(made, "ann", "sell 1 @ 100", client_order_id="one").order_id)
    with pytest.raises(Refused, match="in use"):
        place(made, "ann", "sell 1 @ 100", client_order_id="one")


def test_cancel_says_what_became_of_the_order() -> None:
    made = engine()
    order = place(made, "ann", "sell 1 @ 100")
    filled = place(made, "ann", "sell 1 @ 99")
    place(made, "bob", "buy 1 @ 99")
    assert made.cancel("ann", filled.order_id).status == "filled"
    assert made.cancel("ann", order.order_id).status == "canceled"
    assert made.cancel("ann", order.order_id).status == "already_canceled"
    assert held(made, "ann")["BTC"] == (Decimal(99), Decimal(0))


def test_orders_of_others_and_other_markets_are_not_found() -> None:
    made = engine()
    order = place(made, "ann", "sell 1 @ 100")
    for account, symbol in (("bob", None), ("ann", "ETH/USDT")):
        assert made.find(account, symbol, order.order_id, "") == []
        with pytest.raises(NotFound):
            made.cancel(account, order.order_id, symbol=symbol)


def test_the_ledger_tells_it_in_order() -> None:
    made = engine()
    place(made, "ann", "sell 1 @ 100", client_order_id="a")
    place(made, "bob", "buy 1 @ 100", client_order_id="b")
    kinds = [type(entry) for entry in made.ledger.entries if isinstance(entry, Accepted | Filled | Closed)]
    assert kinds == [Accepted, Accepted, Filled, Filled, Closed, Closed]
    assert [fill.maker for fill in made.ledger.of(Filled)] == [True, False]


def test_pages_of_trades_reach_back_to_the_first_one_kept() -> None:
    made = engine(history=16)
    for _ in range(101):
        place(made, "ann", "sell 0.01 @ 100")
        place(made, "bob", "buy 0.01 @ 100")

    def ids(limit: int, since: str | None = None) -> list[int]:
        return [int(trade.id) for trade in made.trades("BTC/USDT", limit, since)]

    assert ids(3) == [99, 100, 101]
    assert ids(3, "95") == [96, 97, 98]
    assert ids(500, "0") == list(range(86, 102)) == ids(500)
    assert ids(5, "101") == ids(5, "200") == []


def test_ticks_that_are_no_powers_of_ten_and_whole_steps() -> None:
    market = PaperMarket(symbol="A/B", price="10", tick="2.5", step="1").market()
    made = Engine([MARKET, market], now=lambda: 0)
    made.deposit("ann", {"B": "100", "A": "5"})
    order = place(made, "ann", "buy 3 @ 7.5", market=market)
    assert (order.price, order.amount) == ("7.5", "3")
    assert held(made, "ann")["B"] == (Decimal("77.5"), Decimal("22.5"))
    with pytest.raises(Refused):
        place(made, "ann", "buy 3 @ 7", market=market)


def test_unknown_assets_and_markets_without_rules_are_refused() -> None:
    with pytest.raises(Refused):
        engine().deposit("ann", {"DOGE": "1"})
    with pytest.raises(ValueError, match="tick_size"):
        Engine([PaperMarket(symbol="A/B", price="1", tick="0").market()], now=lambda: 0)
    with pytest.raises(ValueError, match="fees"):
        Fees.of("1", "0")
