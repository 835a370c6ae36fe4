"""Random histories for the engine, judged after each step by a naive second exchange and by laws of its own."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from exgate_paper import Engine, Ledger, PaperMarket
from exgate_paper.ledger import Accepted, Moved
from exgate_paper.rules import Fees
from exgate_paper.statefile import StateFile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from paper_reference import MAKER_FEE, TAKER_FEE, Reference, Resting, Told

from exgate_core.errors import NotFound, Refused
from exgate_core.models import DepthDelta, Level, Market, OrderRequest, Side, TimeInForce

MARKETS = [
    PaperMarket(
        symbol="BTC/USDT", price="1", tick="0.5", step="0.002", min_amount="0.004", min_notional="0.7"
    ).market(),
    PaperMarket(symbol="ETH/USDT", price="1", tick="0.01", step="0.1", max_amount="2", min_notional="0").market(),
    PaperMarket(symbol="ETH/BTC", price="1", tick="0.00005", step="0.1", min_notional="0").market(),
]
MID = {"BTC/USDT": 200, "ETH/USDT": 900, "ETH/BTC": 500}
ASSETS = ("BTC", "ETH", "USDT")
ACCOUNTS = ("ann", "bob", "cy")

accounts, markets, sides = st.sampled_from(ACCOUNTS), st.sampled_from(MARKETS), st.sampled_from(["buy", "sell"])
clients = st.sampled_from(["", "", "x", "y", "z"])
amounts = st.integers(1, 30)


class CopiedBook:
    """A book kept from deltas alone."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}

    def apply(self, delta: DepthDelta) -> None:
        assert delta.previous == self.sequence, "a delta is missing"
        self.sequence = delta.sequence
        for side, changes in ((self.bids, delta.bids), (self.asks, delta.asks)):
            for price, amount in changes:
                side[Decimal(price)] = Decimal(amount)
                if not Decimal(amount):
                    del side[Decimal(price)]


def numbers(levels: list[Level]) -> list[tuple[Decimal, Decimal]]:
    """Levels as decimals, in their order."""
    return [(Decimal(price), Decimal(amount)) for price, amount in levels]


class PaperMachine(RuleBasedStateMachine):
    """Orders, cancels and restarts of three accounts on three markets that share their assets."""

    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.counts["sequences"] += 1
        self.folder = tempfile.TemporaryDirectory()
        self.now = 1_700_000_000_000
        self.compacted = False
        self.reference = Reference()
        self.deposited: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.engine, self.file = self.start()

    def start(self) -> tuple[Engine, StateFile]:
        fees = Fees.of(str(MAKER_FEE), str(TAKER_FEE))
        engine = Engine(MARKETS, now=lambda: self.now, fees=fees, ledger=Ledger())
        file = StateFile(Path(self.folder.name), engine.fingerprint, engine.faults)
        engine.attach(file)
        self.copies = {}
        for market in MARKETS:
            copy = self.copies[market.symbol] = CopiedBook(engine.book(market.symbol).sequence)
            depth = engine.depth(market.symbol, 10_000)
            copy.bids, copy.asks = dict(numbers(list(depth.bids))), dict(numbers(list(depth.asks)))
            engine.on_delta(market.symbol, copy.apply)
        return engine, file

    @initialize()
    def fund(self) -> None:
        for account in ACCOUNTS:
            self.deposit(account, {"BTC": "0.15", "ETH": "5", "USDT": "30.01"})

    def deposit(self, account: str, money: dict[str, str]) -> None:
        self.engine.deposit(account, money)
        for asset, text in money.items():
            self.reference.balances[account, asset] += Decimal(text)
            self.deposited[asset] += Decimal(text)

    @rule(account=accounts, asset=st.sampled_from(ASSETS), amount=st.integers(1, 500))
    def top_up(self, account: str, asset: str, amount: int) -> None:
        self.deposit(account, {asset: f"{amount / 100:.2f}"})

    @rule(
        account=accounts,
        market=markets,
        side=sides,
        away=st.integers(-4, 4),
        amount=amounts,
        tif=st.sampled_from(["GTC", "GTC", "GTC", "IOC", "FOK"]),
        post_only=st.sampled_from([False, False, False, True]),
        client=clients,
    )
    def limit(
        self,
        account: str,
        market: Market,
        side: Side,
        away: int,
        amount: int,
        tif: TimeInForce,
        post_only: bool,
        client: str,
    ) -> None:
        request = OrderRequest(
            market=market,
            side=side,
            type="limit",
            client_order_id=client,
            price=str(Decimal(market.tick_size) * (MID[market.symbol] + away)),
            amount=str(Decimal(market.step_size) * amount),
            time_in_force=tif,
            post_only=post_only,
        )
        self.place(account, request)

    @rule(
        market=markets, orders=st.lists(st.tuples(accounts, sides, st.integers(-2, 2), amounts), min_size=1, max_size=8)
    )
    def burst(self, market: Market, orders: list[tuple[str, Side, int, int]]) -> None:
        """A crowd at few prices: long queues, many fills."""
        for account, side, away, amount in orders:
            self.limit(account, market, side, away, amount, "GTC", False, "")

    @rule(account=accounts, market=markets, side=sides, amount=amounts, client=clients, fok=st.booleans())
    def at_market(self, account: str, market: Market, side: Side, amount: int, client: str, fok: bool) -> None:
        request = OrderRequest(
            market=market,
            side=side,
            type="market",
            client_order_id=client,
            amount=str(Decimal(market.step_size) * amount),
            time_in_force="FOK" if fok else "GTC",
        )
        self.place(account, request)

    @rule(account=accounts, market=markets, side=sides, amount=st.integers(1, 4000), client=clients)
    def by_quote(self, account: str, market: Market, side: Side, amount: int, client: str) -> None:
        scale = Decimal("0.0001") if market.quote == "BTC" else Decimal("0.01")
        request = OrderRequest(
            market=market, side=side, type="market", client_order_id=client, quote_amount=str(amount * scale)
        )
        self.place(account, request)

    def place(self, account: str, request: OrderRequest) -> None:
        self.now += 1
        expected = self.reference.place(account, request)
        before = self.engine.snapshot() if expected else None
        try:
            order = self.engine.place(account, request)
        except Refused as refused:
            assert refused.reason == expected
            assert self.engine.snapshot() == before
            self.counts[f"refused {expected}"] += 1
            return
        assert not expected, f"should have been refused: {expected}"
        self.counts["orders"] += 1
        mine = self.reference.orders[-1]
        assert order.order_id == str(mine.id)
        assert order.status.replace("partially_filled", "open") == mine.status
        assert Decimal(order.remaining) == mine.left

    @rule(pick=st.integers(0, 10_000), by_client=st.booleans())
    def cancel(self, pick: int, by_client: bool) -> None:
        if not self.reference.orders:
            return
        self.now += 1
        order = self.reference.orders[-1 - pick % min(len(self.reference.orders), 12)]
        if by_client and order.client:
            order = self.newest(order)
            result = self.engine.cancel(order.account, "", order.client)
        else:
            result = self.engine.cancel(order.account, str(order.id))
        assert result.status == self.reference.cancel(order)
        self.counts[f"cancel {result.status}"] += 1

    def newest(self, order: Resting) -> Resting:
        same = [o for o in self.reference.orders if o.account == order.account and o.client == order.client]
        return same[-1]

    @rule(account=accounts, order_id=st.sampled_from(["0", "999999", "x", "-1", "9" * 30]))
    def cancel_unknown(self, account: str, order_id: str) -> None:
        try:
            self.engine.cancel(account, order_id)
        except NotFound:
            return
        raise AssertionError("an unknown order was cancelled")

    @rule(chance=st.integers(0, 5), compact=st.booleans(), torn=st.binary(max_size=20))
    def kill(self, chance: int, compact: bool, torn: bytes) -> None:
        if chance == 3:
            self.restart(compact, torn)

    def restart(self, compact: bool, torn: bytes) -> None:
        """The process is killed, perhaps in the middle of a record."""
        before = self.engine.snapshot()
        for _ in self.file.compact(before) if compact else ():
            pass
        self.file.close()
        with self.file.path.open("ab") as file:
            file.write(torn.replace(b"\n", b""))
        self.compacted = self.compacted or compact
        self.engine, self.file = self.start()
        assert self.engine.snapshot() == before
        assert len(list(self.engine.ledger.of(Accepted))) == len(self.reference.orders)
        self.counts["restarts"] += 1

    @invariant()
    def same_as_reference(self) -> None:
        for account in ("fees", *ACCOUNTS):
            if account not in self.engine.accounts:
                continue
            for row in self.engine.balances(account):
                assert Decimal(row.available) == self.reference.balances[account, row.asset]
                assert Decimal(row.frozen) == self.reference.frozen(account, row.asset)
                assert Decimal(row.available) >= 0
        mine = {o.id: o.left for o in self.reference.open()}
        theirs = {
            int(o.order_id): Decimal(o.remaining)
            for account in self.engine.accounts
            for o in self.engine.open_orders(account)
        }
        assert mine == theirs

    @invariant()
    def same_trades(self) -> None:
        for market in MARKETS:
            book = self.engine.book(market.symbol)
            told = [t for t in self.reference.told if t.symbol == market.symbol]
            fills = book.history.newest(len(told) + 1)
            assert [fill.id for fill in fills] == list(range(1, len(told) + 1))
            tick, step = Decimal(market.tick_size), Decimal(market.step_size)
            assert told == [Told(market.symbol, f.price * tick, f.amount * step, f.maker, f.taker) for f in fills]

    @invariant()
    def nothing_made_or_lost(self) -> None:
        total: defaultdict[str, Decimal] = defaultdict(Decimal)
        for account in self.engine.accounts:
            for row in self.engine.balances(account):
                total[row.asset] += Decimal(row.available) + Decimal(row.frozen)
        assert {a: v for a, v in total.items() if v} == {a: v for a, v in self.deposited.items() if v}

    @invariant()
    def books_are_whole(self) -> None:
        for market in MARKETS:
            depth = self.engine.depth(market.symbol, 10_000)
            bids, asks = numbers(list(depth.bids)), numbers(list(depth.asks))
            assert not bids or not asks or bids[0] < asks[0], "crossed"
            copy = self.copies[market.symbol]
            assert depth.last_update_id == copy.sequence
            assert bids == sorted(copy.bids.items(), reverse=True)
            assert asks == sorted(copy.asks.items())

    @invariant()
    def ledger_explains_balances(self) -> None:
        """Where nothing was compacted, the moves on record add up to the balances."""
        if self.compacted:
            return
        moved: Counter[tuple[str, str]] = Counter()
        held: Counter[tuple[str, str]] = Counter()
        for move in self.engine.ledger.of(Moved):
            moved[move.account, move.asset] += move.available
            held[move.account, move.asset] += move.frozen
        for account in self.engine.accounts:
            wallet = self.engine.wallet(account)
            assert all(wallet.available[asset] == moved[account, asset] for asset in ASSETS)
            assert all(wallet.frozen[asset] == held[account, asset] for asset in ASSETS)

    def teardown(self) -> None:
        self.counts["trades"] += len(self.reference.told)
        if self.reference.orders:
            self.restart(False, b"")
        self.file.close()
        self.folder.cleanup()
