"""How often a caller may ask: a bucket for each that refills evenly and holds one second's worth."""

from __future__ import annotations

from .clock import Clock
from .errors import RateLimited


class Rates:
    """The buckets of all callers, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, rate: float) -> None:
        """Count one request of a caller who may send ``rate`` a second. Raises RateLimited: when to come again."""
        now, most = self._clock.monotonic(), max(1.0, rate)
        left, then = self._buckets.get(name, (most, now))
        left = min(most, left + (now - then) * rate)
        if left < 1:
            self._buckets[name] = left, now
            wait = (1 - left) / rate
            raise RateLimited(
                f"the token {name!r} may ask {rate:g} times a second.", reason="CALLER_RATE", retry_after=wait
            )
        self._buckets[name] = left - 1, now
