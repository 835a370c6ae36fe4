"""The paper exchange itself: accounts, orders, matching and balances. Pure and synchronous; the clock is an argument.

A command is checked, appended to the state file, applied, and only then answered. Applying a stored command again gives
the same state: nothing but the commands decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from exgate_core.errors import NotFound, Refused
from exgate_core.models import Balance, CancelResult, Depth, DepthDelta, Market, Order, OrderRequest, Trade

from .bank import Bank
from .faults import Faults
from .ledger import Accepted, Ledger
from .matching import Book
from .rules import Fees, Rules, asset_places, money
from .statefile import StateFile
from .units import units
from .values import Cancel, Command, Deposit, Fill, Header, PaperOrder, Place, Record, Snapshot, Trades
from .wallet import Wallet

OnTrades = Callable[[Sequence[Trade]], None]
OnDelta = Callable[[DepthDelta], None]


class Engine:
    """One paper exchange. ``now`` gives ms since the epoch.

    ``client_ids``: ``open`` = unique among an account's open orders only, as Binance has it; ``ever`` = among all that
    are remembered. ``history`` bounds the trades kept per market, ``closed`` the closed orders remembered per account
    (accounts in ``forgetful``: none).
    """

    def __init__(
        self,
        markets: Sequence[Market],
        *,
        now: Callable[[], int],
        fees: Fees = Fees(),  # noqa: B008 - a frozen value
        ledger: Ledger | None = None,
        faults: Faults | None = None,
        client_ids: Literal["open", "ever"] = "open",
        history: int = 200_000,
        closed: int = 100_000,
        forgetful: frozenset[str] = frozenset(),
    ) -> None:
        self.markets = tuple(markets)
        self.fees = fees
        self.ledger = Ledger() if ledger is None else ledger
        self.faults = faults or Faults()
        self._now, self._client_ids = now, client_ids
        self._places = asset_places(markets, fees)
        self._books = {market.symbol: Book(Rules(market, self._places), history) for market in markets}
        self._bank = Bank(fees, self.ledger, closed, forgetful)
        self._time = self._orders = 0
        self._file: StateFile | None = None
        self._on_trades: dict[str, list[OnTrades]] = {symbol: [] for symbol in self._books}
        self._on_delta: dict[str, list[OnDelta]] = {symbol: [] for symbol in self._books}

    # --- questions

    def book(self, symbol: str) -> Book:
        """The book of a market. Raises Refused for an unknown one."""
        try:
            return self._books[symbol]
        except KeyError:
            raise Refused(f"There is no market {symbol!r}.", reason="UNKNOWN_SYMBOL") from None

    @property
    def accounts(self) -> tuple[str, ...]:
        """The names of all accounts, the exchange's own included."""
        return tuple(self._bank.wallets)

    @property
    def time(self) -> int:
        """When the newest command was accepted, ms."""
        return self._time

    def wallet(self, account: str) -> Wallet:
        """An account's balances and orders, to be read only. Raises NotFound."""
        try:
            return self._bank.wallets[account]
        except KeyError:
            raise NotFound(f"There is no paper account {account!r}.") from None

    def depth(self, symbol: str, limit: int) -> Depth:
        """The book with at most ``limit`` levels a side."""
        return self.book(symbol).depth(limit, self._time)

    def trades(self, symbol: str, limit: int, since_id: str | None = None) -> list[Trade]:
        """The newest ``limit`` trades, or the first ``limit`` after an id; oldest first. Raises Refused for no id."""
        book = self.book(symbol)
        if since_id is None:
            fills = book.history.newest(limit)
        elif since_id.isascii() and since_id.isdigit():
            fills = book.history.after(int(since_id), limit)
        else:
            raise Refused(f"{since_id!r} is no trade id.", reason="BAD_TRADE_ID")
        return [book.rules.trade(fill) for fill in fills]

    def balances(self, account: str) -> list[Balance]:
        """Every asset of the exchange; what the account doesn't hold is zero."""
        wallet = self.wallet(account)
        return [
            Balance(
                asset=asset,
                available=money(wallet.available.get(asset, 0), scale),
                frozen=money(wallet.frozen.get(asset, 0), scale),
            )
            for asset, scale in self._places.items()
        ]

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """Open orders, oldest first."""
        orders = self.wallet(account).open.values()
        return [self._view(order) for order in orders if symbol in (None, order.symbol)]

    def find(self, account: str, symbol: str | None, order_id: str, client_order_id: str) -> list[Order]:
        """Open and closed orders by id, or by client order id where that is empty; oldest first."""
        found = self._find(account, order_id, client_order_id)
        return [self._view(order) for order in found if symbol in (None, order.symbol)]

    def _find(self, account: str, order_id: str, client_order_id: str) -> list[PaperOrder]:
        wallet = self.wallet(account)
        if not order_id:
            return wallet.by_client_id(client_order_id)
        known = order_id.isascii() and order_id.isdigit() and len(order_id) < 20
        order = wallet.order(int(order_id)) if known else None
        return [order] if order else []

    def _view(self, order: PaperOrder) -> Order:
        return self._books[order.symbol].rules.order(order)

    # --- commands

    def deposit(self, account: str, balances: Mapping[str, str]) -> None:
        """Give an account money; opens it. Raises Refused for an unknown asset or a bad amount."""
        for asset, text in balances.items():
            amount = units(text, self._places[asset]) if asset in self._places else None
            if amount is None:
                raise Refused(f"{text!r} {asset!r} can't be deposited.", reason="BAD_DEPOSIT")
            self.submit(Deposit(account, asset, amount))

    def place(self, account: str, request: OrderRequest) -> Order:
        """Accept an order and match it. Raises Refused: then nothing happened."""
        command = self.book(request.market.symbol).rules.command(account, request)
        return self._view(self.submit_place(command))

    def cancel(
        self, account: str, order_id: str = "", client_order_id: str = "", symbol: str | None = None
    ) -> CancelResult:
        """Cancel by id, or the newest order of a client order id. Raises NotFound."""
        found = [o for o in self._find(account, order_id, client_order_id) if symbol in (None, o.symbol)]
        if not found:
            raise NotFound(f"There is no order {order_id or client_order_id!r}.", reason="UNKNOWN_ORDER")
        order = found[-1]
        if order.status == "filled":
            return CancelResult(status="filled")
        if order.status not in {"open", "partially_filled"}:
            return CancelResult(status="already_canceled")
        self.submit(Cancel(account, order.id))
        return CancelResult(status="canceled")

    def submit_place(self, command: Place) -> PaperOrder:
        """``place`` in whole numbers."""
        self._check(command)
        self._log(command)
        return self._place(command)

    def submit(self, command: Command) -> None:
        """Accept any command. A cancel must name an open order of its account."""
        if isinstance(command, Place):
            self._check(command)
        self._log(command)
        self._apply(command)

    def _log(self, command: Command) -> None:
        command.time = max(self._time, self._now())
        if self._file is not None:
            self._file.append(command)

    def _apply(self, command: Command) -> None:
        if isinstance(command, Place):
            self._place(command)
        elif isinstance(command, Cancel):
            self._cancel(command)
        else:
            self._time = command.time
            self._bank.move(self._bank.open(command.account), command.asset, command.amount, 0, self._time)

    # --- checks: whatever raises here happened before anything was done

    def _check(self, order: Place) -> None:
        book = self.book(order.symbol)
        wallet = self.wallet(order.account)
        self._check_size(book, order)
        if order.client_order_id and self._is_taken(wallet, order.client_order_id):
            raise Refused(
                f"The client order id {order.client_order_id!r} is in use.", reason="DUPLICATE_CLIENT_ORDER_ID"
            )
        if order.post_only and (not order.price or book.crosses(order.buy, order.price)):
            raise Refused("A post-only order would trade at once.", reason="WOULD_TAKE")
        self._check_funds(book, wallet, order)

    def _check_size(self, book: Book, order: Place) -> None:
        rules = book.rules
        if order.amount and not rules.min_amount <= order.amount <= rules.max_amount:
            raise Refused(
                f"The amount is outside {rules.amount_text(rules.min_amount)} ... {rules.market.max_amount or 'any'}.",
                reason="BAD_AMOUNT",
            )
        best = (book.asks if order.buy else book.bids).best()
        price = order.price or (best.price if best else 0)
        value = order.quote or price * order.amount * rules.quote_unit
        if price and value < rules.min_notional:
            raise Refused(
                f"The order is worth less than {rules.market.min_notional} {rules.quote}.", reason="MIN_NOTIONAL"
            )

    def _is_taken(self, wallet: Wallet, client_order_id: str) -> bool:
        same = wallet.by_client_id(client_order_id)
        return bool(same) if self._client_ids == "ever" else any(order.id in wallet.open for order in same)

    def _check_funds(self, book: Book, wallet: Wallet, order: Place) -> None:
        rules = book.rules
        amount, cost = order.amount, order.price * order.amount * rules.quote_unit
        if not order.price:
            reach = book.reach(order)
            amount, cost = (reach.amount if order.quote else max(amount, reach.amount)), reach.cost
            if order.quote and reach.enough and not reach.amount:
                raise Refused("The quote amount is below one step of the best price.", reason="MIN_NOTIONAL")
        asset, needed = (rules.quote, cost) if order.buy else (rules.base, amount * rules.base_unit)
        available = wallet.available.get(asset, 0)  # not [asset], which would remember an asset that was never held
        if available < needed:
            scale = self._places[asset]
            have, need = money(available, scale), money(needed, scale)
            raise Refused(f"The order needs {need} {asset}; {have} is available.", reason="INSUFFICIENT_BALANCE")

    # --- application: can't fail

    def _place(self, command: Place) -> PaperOrder:
        self._time = time = command.time
        self._orders += 1
        book, wallet = self._books[command.symbol], self._bank.wallets[command.account]
        amount, whole = command.amount, True
        if command.quote or command.time_in_force == "FOK":
            reach = book.reach(command)
            whole, amount = reach.enough, command.amount or reach.amount
        order = PaperOrder(
            id=self._orders,
            account=command.account,
            symbol=command.symbol,
            buy=command.buy,
            price=command.price,
            amount=amount,
            remaining=amount,
            by_quote=command.quote > 0,
            client_order_id=command.client_order_id,
            post_only=command.post_only,
            time=time,
        )
        wallet.add(order)
        self.ledger.add(_accepted(order))
        killed = command.time_in_force == "FOK" and not whole
        fills = [] if killed else book.match(order, time)
        for maker, fill in fills:
            self._bank.settle(book.rules, maker, order, fill)
        self._finish(book, wallet, order, command.time_in_force == "GTC" and command.price > 0, whole)
        self._publish(book, [fill for _, fill in fills])
        return order

    def _finish(self, book: Book, wallet: Wallet, order: PaperOrder, may_rest: bool, whole: bool) -> None:
        if not order.remaining and whole:
            self._bank.close(wallet, order, "filled", self._time)
        elif may_rest:
            if order.remaining < order.amount:
                order.status = "partially_filled"
            self._bank.hold(book.rules, wallet, order, order.remaining, self._time)
            book.rest(order)
        else:
            self._bank.close(wallet, order, "expired", self._time)

    def _cancel(self, command: Cancel) -> None:
        self._time = command.time
        wallet = self._bank.wallets[command.account]
        order = wallet.open[command.order_id]
        book = self._books[order.symbol]
        book.remove(order)
        self._bank.hold(book.rules, wallet, order, -order.remaining, self._time)
        self._bank.close(wallet, order, "canceled", self._time)
        self._publish(book, [])

    # --- streams

    def _publish(self, book: Book, fills: list[Fill]) -> None:
        symbol, touched = book.rules.symbol, book.flush()
        if fills and self._on_trades[symbol]:
            trades = [book.rules.trade(fill) for fill in fills]
            for on_trades in tuple(self._on_trades[symbol]):
                on_trades(trades)
        if touched and self._on_delta[symbol]:
            delta = book.delta(touched, self._time)
            for on_delta in tuple(self._on_delta[symbol]):
                on_delta(delta)

    def on_trades(self, symbol: str, listener: OnTrades) -> Callable[[], None]:
        """Call the listener with the trades of each command from now on; returns what ends that."""
        listeners = self._on_trades[symbol]
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def on_delta(self, symbol: str, listener: OnDelta) -> Callable[[], None]:
        """Call the listener with each change of a book from now on; returns what ends that."""
        listeners = self._on_delta[symbol]
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    # --- state

    @property
    def fingerprint(self) -> str:
        """What the whole numbers of a state file mean: every market and the fees."""
        rows = [f"{m.symbol} {m.tick_size} {m.step_size}" for m in self.markets]
        return f"{'; '.join(rows)}; fees {self.fees.maker} {self.fees.taker} / 10^{self.fees.places}"

    def snapshot(self) -> Snapshot:
        """The whole state as one value."""
        wallets = [wallet.state() for _, wallet in sorted(self._bank.wallets.items())]
        return Snapshot(self._time, self._orders, [book.state() for book in self._books.values()], wallets)

    def attach(self, file: StateFile) -> None:
        """Rebuild the state from a file and write every further command to it. Only for a new engine."""
        for record in file.read():
            self._replay(record)
        self._file = file

    def _replay(self, record: Record) -> None:
        if isinstance(record, Snapshot):
            self._restore(record)
        elif isinstance(record, Trades):
            self._books[record.symbol].history.extend(record.fills)
        elif not isinstance(record, Header):
            self._apply(record)

    def _restore(self, snapshot: Snapshot) -> None:
        self._time, self._orders = snapshot.time, snapshot.orders
        for state in snapshot.wallets:
            self._bank.open(state.account).restore(state)
            for order in state.orders:
                self.ledger.add(_accepted(order))
        for book_state in snapshot.books:
            self._books[book_state.symbol].restore(book_state)
        resting = [order for wallet in self._bank.wallets.values() for order in wallet.open.values()]
        for order in sorted(resting, key=lambda order: order.id):
            self._books[order.symbol].rest(order)
        for book_state in snapshot.books:
            book = self._books[book_state.symbol]
            book.flush()
            book.sequence = book_state.sequence


def _accepted(order: PaperOrder) -> Accepted:
    return Accepted(
        order.time,
        order.account,
        order.symbol,
        order.id,
        order.client_order_id,
        order.buy,
        order.price,
        order.amount,
    )
