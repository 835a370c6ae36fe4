"""Random histories of orders, faults, failing disks and restarts; after each step the ledger judges what was told."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import anyio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exgate_core.clock import Runtime
from exgate_core.contract import PlaceBody
from exgate_core.errors import ExGateError, OutcomeUnknown
from exgate_core.journal import Journal
from exgate_core.orders import Orders
from exgate_core.settings import Orders as OrderSettings
from tests.support.desk import BTC, Desk

KEYS = st.sampled_from(["a", "b", "c"])
HAPPENS = ("accept", "refuse", "not_sent", "limited", "drop_before", "drop_after", "empty", "none", "bug", "twice")
BROKEN = ("journal.intent", "journal.sent", "journal.outcome", "journal.commit", "journal.committed", "journal.read")


class OrdersMachine(RuleBasedStateMachine):
    """Three keys, each for one order of its own amount."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.desk = Desk(settle=0.01)
        self.broken: set[str] = set()
        self.told: dict[str, list[str]] = {}
        self.life: asyncio.Task[None] | None = None
        self.begin()

    def begin(self) -> None:
        """A gateway starts over the same files."""
        self.broken.clear()
        self.runner.run(self._begin())

    async def _begin(self) -> None:
        self.ready, self.end = asyncio.Event(), asyncio.Event()
        self.life = asyncio.create_task(self._live())
        await self.ready.wait()
        await self.orders.reconcile(self.desk)

    async def _live(self) -> None:
        path = Path(self.folder.name) / "journal.db"
        async with Journal(path, self._step) as journal, anyio.create_task_group() as tasks:
            limits = OrderSettings(deadline=0.15, reconcile_deadline=0.1)
            self.orders = Orders(journal, Runtime(), tasks, limits, step=self._step)
            self.journal = journal
            self.ready.set()
            await self.end.wait()
            tasks.cancel_scope.cancel()

    def _step(self, name: str) -> None:
        if name in self.broken:
            raise OSError(5, name)

    async def _end(self) -> None:
        assert self.life is not None
        self.end.set()
        await self.life

    def teardown(self) -> None:
        self.runner.run(self._end())
        self.runner.close()
        self.folder.cleanup()

    @rule(key=KEYS, happens=st.sampled_from(HAPPENS), blind=st.booleans())
    def place(self, key: str, happens: str, blind: bool) -> None:
        """Ask for the key's order; ``blind``: the exchange can't be asked for a while."""
        self.desk.script.clear()
        self.desk.script.append(happens)
        self.desk.finds.extend(["fail"] * 200 if blind else [])
        self.runner.run(self._place(key))
        self.desk.finds.clear()

    @rule(key=KEYS, count=st.integers(2, 5))
    def place_in_parallel(self, key: str, count: int) -> None:
        """Several requests with the same key at once."""
        self.desk.script.clear()
        self.runner.run(self._place(key, count))

    async def _place(self, key: str, count: int = 1) -> None:
        await asyncio.gather(*(self._ask(key) for _ in range(count)))

    async def _ask(self, key: str) -> None:
        amount = str(1 + ord(key) - ord("a"))
        body = PlaceBody(symbol="BTC/USDT", side="buy", type="limit", price="100.00", amount=amount)
        try:
            answer = (await self.orders.place(self.desk, BTC, body, key)).order_id
        except ExGateError as error:
            answer = "?" if isinstance(error, OutcomeUnknown) else error.metadata.get("outcome", "?")
        self.told.setdefault(key, []).append(answer)
        self._judge(key, answer)

    def _judge(self, key: str, answer: str) -> None:
        amount = str(1 + ord(key) - ord("a"))
        really = [order.order_id for order in self.desk.ledger if order.amount == amount]
        assert len(really) <= 1, f"doubled: {really}"
        if answer in ("refused", "not-sent"):
            assert not really, f"told {answer}, but the exchange has {really}"
        elif answer != "?":
            assert really == [answer]

    @rule(names=st.sets(st.sampled_from(BROKEN), min_size=1, max_size=2))
    def break_disk(self, names: set[str]) -> None:
        """From now on these steps fail."""
        self.broken |= names

    @precondition(lambda self: self.broken)
    @rule()
    def mend_disk(self) -> None:
        """The disk works again."""
        self.broken.clear()

    @rule()
    def restart(self) -> None:
        """The gateway stops where it is, and another one starts."""
        self.runner.run(self._end())
        self.begin()

    @precondition(lambda self: self.told)
    @rule()
    def ask_for_the_truth(self) -> None:
        """With disk and exchange in order, every key comes to a definite answer."""
        self.broken.clear()
        for key in self.told:
            self.desk.script.clear()
            for _ in range(4):
                self.runner.run(self._place(key))
                if self.told[key][-1] not in ("?", "not-sent"):
                    break
            assert self.told[key][-1] not in ("?", "not-sent")

    @invariant()
    def one_id_per_key(self) -> None:
        """Whoever was told an order id is never told another one."""
        for answers in self.told.values():
            assert len({answer for answer in answers if answer.isdigit()}) <= 1


OrdersMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOrders = OrdersMachine.TestCase
