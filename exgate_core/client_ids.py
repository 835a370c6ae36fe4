"""Client order ids by each exchange's own rule: deterministic, so that a replay derives the same id again."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator

from .errors import Internal
from .models import ClientIds

_DIGITS = re.compile(r"[1-9][0-9]*", re.ASCII)
_LONGEST_HASH = 32
_LONGEST_NUMBER = 18
_SHORTEST = 8


def fits(rule: ClientIds, text: str) -> bool:
    """Whether the exchange takes this id as it stands, its prefix included."""
    if not text.startswith(rule.prefix) or len(text) > rule.max_length:
        return False
    # An exchange that reads numbers forgets leading zeros.
    if rule.digits_only and not _DIGITS.fullmatch(text):
        return False
    return re.fullmatch(rule.pattern, text, re.ASCII) is not None


def own(rule: ClientIds, text: str) -> str:
    """What goes upstream for a caller's own id: itself, itself with the prefix, or a digest of it."""
    for candidate in (text, rule.prefix + text):
        if fits(rule, candidate):
            return candidate
    return derived(rule, "id", text)


def derived(rule: ClientIds, *parts: str) -> str:
    """An id made of a digest of the parts. Raises Internal where the rule leaves no room for one."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    for candidate in _candidates(rule, digest):
        if fits(rule, candidate):
            return candidate
    message = f"the plugin's rule for client order ids can't be met: pattern {rule.pattern!r}, prefix {rule.prefix!r}"
    raise Internal(message, reason="BAD_CLIENT_ID_RULE")


def fresh(rule: ClientIds, chance: random.Random) -> str:
    """An id that was never used before."""
    return derived(rule, "fresh", f"{chance.getrandbits(128):032x}")


def _candidates(rule: ClientIds, digest: bytes) -> Iterator[str]:
    number = str(int.from_bytes(digest)).lstrip("0")
    hexadecimal = digest.hex()
    for length in range(_LONGEST_HASH, _SHORTEST - 1, -1):
        yield rule.prefix + hexadecimal[:length]
        yield rule.prefix + hexadecimal[:length].upper()
        if length <= _LONGEST_NUMBER:
            yield rule.prefix + number[:length]
