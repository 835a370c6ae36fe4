"""Which account a call means: the one that the settings name, or one of a caller who brings keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from .account import Account
from .clock import Clock
from .errors import FailedPrecondition, PermissionDenied, RateLimited
from .lives import Life
from .settings import Credentials

_MOST = 100
_IDLE = 900.0
_BUSY = 120.0


class Accounts:
    """The accounts behind one name. Those of callers are closed 15 minutes after their last use."""

    def __init__(
        self,
        exchange: str,
        clock: Clock,
        configured: Life[Account] | None,
        bring: Callable[[Credentials], Life[Account]] | None,
    ) -> None:
        self._exchange, self._clock = exchange, clock
        self.configured = configured
        self._bring = bring
        self._brought: OrderedDict[str, tuple[Life[Account], float]] = OrderedDict()

    async def get(self, credentials: Credentials | None, deadline: float) -> Account:
        """The account, opened. FailedPrecondition: there is none; PermissionDenied: keys of callers aren't taken."""
        if credentials is not None:
            return await self._of_caller(credentials).get(deadline)
        if self.configured is None:
            raise FailedPrecondition(
                f"{self._exchange} has no account: add api_key and api_secret to its section, or send X-ExGate-Key and "
                "X-ExGate-Secret. Nothing was sent.",
                reason="NO_ACCOUNT",
            )
        return await self.configured.get(deadline)

    def _of_caller(self, credentials: Credentials) -> Life[Account]:
        if self._bring is None:
            raise PermissionDenied(
                "this gateway takes no keys from callers. Nothing was sent.", reason="CALLER_KEYS_OFF"
            )
        now = self._clock.monotonic()
        self._evict(now)
        known = self._brought.pop(credentials.fingerprint, None)
        life = known[0] if known else self._bring(credentials)
        self._brought[credentials.fingerprint] = life, now
        return life

    def _evict(self, now: float) -> None:
        while self._brought:
            fingerprint, (life, used) = next(iter(self._brought.items()))
            crowded = len(self._brought) >= _MOST
            if crowded and now - used < _BUSY:
                raise RateLimited(
                    "too many different keys at once; try again soon. Nothing was sent.", retry_after=_BUSY
                )
            if not crowded and now - used < _IDLE:
                return
            life.close()
            del self._brought[fingerprint]
