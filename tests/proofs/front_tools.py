"""What the proofs of the whole gateway share: figures with their goals, gateways in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins/exgate-paper/src")]

import anyio  # noqa: E402 (after the path is set)
from exgate_paper import Engine, Fault, PaperSettings  # noqa: E402
from exgate_paper.making import make_engine  # noqa: E402
from exgate_paper.market import HOUSE  # noqa: E402
from exgate_paper.statefile import StateFile  # noqa: E402

from exgate_core.clock import SystemClock  # noqa: E402
from tests.support.front import Caller, calling  # noqa: E402
from tests.support.running import Running, serving  # noqa: E402

FAR_OFF = 5.0
"""A timing goal that is missed by this factor fails the proof; a little is the machine's."""
BTC = {
    "symbol": "BTC/USDT", "price": "60000.00", "tick": "0.01", "step": "0.00001", "max_amount": "9000",
    "min_notional": "5",
}  # fmt: skip


class Figures:
    """The lines of one proof, and whether what must never happen didn't."""

    def __init__(self, title: str) -> None:
        self.failed: list[str] = []
        self._title = title
        print(f"\n{title}")

    def say(self, what: str, value: object) -> None:
        """A figure without a judgement."""
        self._line(what, value, "")

    def never(self, what: str, count: int) -> None:
        """Something of which there must be none."""
        self._line(what, count, "never" if not count else "NEVER, and it happened")
        self._judge(what, not count)

    def always(self, what: str, really: object, wanted: object) -> None:
        """Something that must be so."""
        self._line(what, really, "always" if really == wanted else f"ALWAYS {wanted}")
        self._judge(what, really == wanted)

    def goal(self, what: str, seconds: float, wanted: float) -> None:
        """A time: a goal on a machine that does nothing else."""
        verdict = "" if seconds <= wanted else " (missed)" if seconds <= FAR_OFF * wanted else " (FAR OFF)"
        self._line(what, f"{1000 * seconds:.1f} ms", f"goal {1000 * wanted:g} ms{verdict}")
        self._judge(what, seconds <= FAR_OFF * wanted)

    def _line(self, what: str, value: object, verdict: str) -> None:
        print(f"  {what:58} {value!s:>18}  {verdict}".rstrip())

    def _judge(self, what: str, held: bool) -> None:
        if not held:
            self.failed.append(f"{self._title}: {what}")


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of all lies; 0 where there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def toml(value: Any) -> str:
    """A value as TOML; a map becomes an inline table."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


@contextmanager
def gateway(
    folder: Path, *arguments: str, paper: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """``exgate serve`` with these settings of its paper exchange, and further overrides ``KEY=VALUE``."""
    settings = folder / "exgate.toml"
    settings.write_text("[exchanges.paper]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in (paper or {}).items()))
    overrides = [part for text in arguments for part in (("-s", text) if "=" in text else (text,))]
    with serving(
        folder, "--config", str(settings), *overrides, environment=environment, errors=subprocess.DEVNULL
    ) as running:
        yield running


def terminate(running: Running) -> float:
    """SIGTERM, now; the time at which it was sent."""
    os.kill(running.process.pid, signal.SIGTERM)
    return time.monotonic()


def truth(folder: Path, paper: Mapping[str, Any]) -> Engine:
    """The engine that a gateway has left in ``paper["state"]``, with its ledger."""
    settings = PaperSettings(**{key: value for key, value in paper.items() if key in ("levels", "rate")})
    engine = make_engine([market.market() for market in settings.markets], settings, SystemClock(), HOUSE)
    file = StateFile(folder, engine.fingerprint, engine.faults)
    engine.attach(file)
    file.close()
    return engine


async def watch_latency(caller: Caller, path: str, found: list[float], pause: float = 0.005) -> None:
    """Ask again and again until cancelled; the seconds that each answer took. Raises AssertionError for a failure."""
    while True:
        start = time.perf_counter()
        reply = await caller.get(path)
        found.append(time.perf_counter() - start)
        assert reply.status == 200, reply
        await anyio.sleep(pause)


__all__ = [
    "BTC", "Caller", "Engine", "Fault", "Figures", "Running", "calling", "gateway", "quantile", "terminate", "truth",
    "watch_latency",
]  # fmt: skip
