"""Who owns what: the only place that changes balances, so that no value is made or lost."""

from __future__ import annotations

from exgate_core.models import OrderStatus

from .ledger import Closed, Filled, Ledger, Moved
from .rules import Fees, Rules
from .values import Fill, PaperOrder
from .wallet import Wallet

FEES = "fees"
"""The account that receives all fees."""


class Bank:
    """All wallets. ``keep`` bounds the closed orders that each remembers; those in ``forgetful`` remember none."""

    def __init__(self, fees: Fees, ledger: Ledger, keep: int, forgetful: frozenset[str]) -> None:
        self.wallets: dict[str, Wallet] = {}
        self._fees, self._ledger, self._keep, self._forgetful = fees, ledger, keep, forgetful
        self._scale = 10**fees.places
        self._collected = self.open(FEES)

    def open(self, account: str) -> Wallet:
        """The account's wallet, made if it is new."""
        wallet = self.wallets.get(account)
        if wallet is None:
            wallet = self.wallets[account] = Wallet(account, 0 if account in self._forgetful else self._keep)
        return wallet

    def move(self, wallet: Wallet, asset: str, available: int, frozen: int, time: int) -> None:
        """Change a balance by so many units."""
        wallet.available[asset] += available
        wallet.frozen[asset] += frozen
        self._ledger.add(Moved(time, wallet.name, asset, available, frozen))

    def hold(self, rules: Rules, wallet: Wallet, order: PaperOrder, amount: int, time: int) -> None:
        """Freeze what ``amount`` more steps of a resting order may cost; a negative amount sets free."""
        if order.buy:
            held = order.price * amount * rules.quote_unit
            self.move(wallet, rules.quote, -held, held, time)
        else:
            held = amount * rules.base_unit
            self.move(wallet, rules.base, -held, held, time)

    def settle(self, rules: Rules, maker: PaperOrder, taker: PaperOrder, fill: Fill) -> None:
        """Both sides pay, receive and leave their fee; a maker with nothing left is closed."""
        self._exchange(rules, maker, fill, self._fees.maker)
        self._exchange(rules, taker, fill, self._fees.taker)
        if maker.remaining:
            maker.status = "partially_filled"
        else:
            self.close(self.wallets[maker.account], maker, "filled", fill.time)

    def _exchange(self, rules: Rules, order: PaperOrder, fill: Fill, rate: int) -> None:
        wallet, rested, time = self.wallets[order.account], order.id == fill.maker, fill.time
        cost, base = fill.price * fill.amount * rules.quote_unit, fill.amount * rules.base_unit
        if order.buy:
            paid, spent, got, received = rules.quote, cost, rules.base, base
        else:
            paid, spent, got, received = rules.base, base, rules.quote, cost
        fee = received * rate // self._scale
        self.move(wallet, paid, 0 if rested else -spent, -spent if rested else 0, time)
        self.move(wallet, got, received - fee, 0, time)
        if fee:
            self.move(self._collected, got, fee, 0, time)
        self._ledger.add(Filled(time, order.account, order.symbol, fill.id, order.id, fill.price, fill.amount, rested))

    def close(self, wallet: Wallet, order: PaperOrder, status: OrderStatus, time: int) -> None:
        """An order ended."""
        order.status = status
        wallet.close(order)
        self._ledger.add(Closed(time, order.account, order.symbol, order.id, status))
