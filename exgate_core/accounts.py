"""Which account a call means: the one that the settings name, or one of a caller who brings keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from .account import Account
from .clock import Clock
from .errors import ExGateError, FailedPrecondition, PermissionDenied, RateLimited
from .lives import Life
from .models import AccountCapabilities
from .settings import Credentials

_MOST = 100
_IDLE = 900.0
_BUSY = 120.0


@dataclass(frozen=True)
class Private:
    """What the settings and the installed plugins allow behind one name."""

    capabilities: AccountCapabilities | None
    """None where no plugin has the private side of the exchange, or which one may is undecided."""
    refusal: ExGateError | None = None
    """Why there is no private side."""
    configured: Life[Account] | None = None
    """The account that needs no keys, or has them in the settings."""
    bring: Callable[[Credentials], Life[Account]] | None = None
    """Opens an account with a caller's keys; None where they aren't taken."""

    keyed: bool = False
    """Whether the settings have keys for it."""

    @property
    def absent(self) -> bool:
        """Whether nothing stands behind the name but what callers bring: a token would protect nothing."""
        return self.configured is None and not self.keyed

    @property
    def real(self) -> bool:
        """Whether an account behind the name holds real money."""
        return not self.absent and (self.capabilities is None or self.capabilities.real)


class Accounts:
    """The accounts behind one name. Those of callers are closed 15 minutes after their last use."""

    def __init__(self, name: str, private: Private, clock: Clock) -> None:
        self.private = private
        self._name, self._clock = name, clock
        self._brought: OrderedDict[str, tuple[Life[Account], float]] = OrderedDict()

    async def get(self, credentials: Credentials | None, deadline: float) -> Account:
        """The account, opened.

        FailedPrecondition: there is none; PermissionDenied: keys of callers aren't taken; Unavailable: not open.
        """
        if self.private.refusal is not None:
            raise self.private.refusal
        if credentials is not None:
            return await self._of_caller(credentials).get(deadline)
        if self.private.configured is None:
            raise FailedPrecondition(
                f"{self._name} has no account: add api_key and api_secret to its section, or send X-ExGate-Key and "
                "X-ExGate-Secret. Nothing was sent.",
                reason="NO_ACCOUNT",
            )
        return await self.private.configured.get(deadline)

    def _of_caller(self, credentials: Credentials) -> Life[Account]:
        if self.private.bring is None:
            message = "this gateway takes no keys from callers here. Nothing was sent."
            raise PermissionDenied(message, reason="CALLER_KEYS_OFF")
        now = self._clock.monotonic()
        known = self._brought.pop(credentials.fingerprint, None)
        self._evict(now)
        life = known[0] if known else self.private.bring(credentials)
        self._brought[credentials.fingerprint] = life, now
        return life

    def _evict(self, now: float) -> None:
        while self._brought:
            fingerprint, (life, used) = next(iter(self._brought.items()))
            crowded = len(self._brought) >= _MOST
            if crowded and now - used < _BUSY:
                message = "too many different keys at once; try again soon. Nothing was sent."
                raise RateLimited(message, retry_after=_BUSY)
            if not crowded and now - used < _IDLE:
                return
            life.close()
            del self._brought[fingerprint]
