"""What one account owns: balances in units of each asset, and its orders."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from copy import copy

from .values import PaperOrder, WalletState


class Wallet:
    """Balances and orders of one account. ``keep`` bounds how many closed orders it remembers."""

    def __init__(self, name: str, keep: int) -> None:
        self.name = name
        self._keep = keep
        self.available: defaultdict[str, int] = defaultdict(int)
        self.frozen: defaultdict[str, int] = defaultdict(int)
        self.open: dict[int, PaperOrder] = {}
        self.closed: OrderedDict[int, PaperOrder] = OrderedDict()
        self._by_client: dict[str, list[int]] = {}

    def add(self, order: PaperOrder) -> None:
        """A new open order."""
        self.open[order.id] = order
        if order.client_order_id:
            self._by_client.setdefault(order.client_order_id, []).append(order.id)

    def close(self, order: PaperOrder) -> None:
        """An order ended: remember it among the closed ones as long as there is room."""
        self.open.pop(order.id, None)
        if self._keep:
            self.closed[order.id] = order
        else:
            self._forget(order)
        if len(self.closed) > self._keep:
            self._forget(self.closed.popitem(last=False)[1])

    def _forget(self, order: PaperOrder) -> None:
        ids = self._by_client.get(order.client_order_id, [])
        if order.id in ids:
            ids.remove(order.id)
            if not ids:
                del self._by_client[order.client_order_id]

    def order(self, order_id: int) -> PaperOrder | None:
        """An open or remembered order."""
        return self.open.get(order_id) or self.closed.get(order_id)

    def by_client_id(self, client_order_id: str) -> list[PaperOrder]:
        """All orders under a client order id, oldest first: an id is free again once its order is closed."""
        ids = self._by_client.get(client_order_id, ())
        return [order for order in map(self.order, ids) if order is not None]

    def state(self) -> WalletState:
        """The account as a stored value; assets with nothing in them are left out."""
        still_changing = [copy(order) for order in self.open.values()]
        orders = sorted([*still_changing, *self.closed.values()], key=lambda order: order.id)
        return WalletState(self.name, _held(self.available), _held(self.frozen), orders)

    def restore(self, state: WalletState) -> None:
        """Take over a stored account."""
        self.available.update(state.available)
        self.frozen.update(state.frozen)
        for order in state.orders:
            self.add(order)
            if order.status not in {"open", "partially_filled"}:
                self.close(order)


def _held(balances: dict[str, int]) -> dict[str, int]:
    return {asset: amount for asset, amount in sorted(balances.items()) if amount}
