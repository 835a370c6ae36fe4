"""The further keys of a section whose exchange this plugin serves."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class KrakenSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[exchanges.kraken]`` beyond what every section has."""

    tier: Literal["starter", "intermediate", "pro", "negotiated"] = "starter"
    """The account's tier, which says how fast its call and order counters decay. negotiated: limits of one's own;
    nothing is held back here, and what Kraken refuses is obeyed."""
    book_depth: Literal[10, 25, 100, 500, 1000] = 1000
    """How many levels a side local books have: fewer mean less traffic, and questions for more go to Kraken."""
    nonce: Literal["ms", "us", "ns"] = "ms"
    """The unit of the nonces. Kraken remembers a key's highest one: with a key that was used in a finer unit before,
    name that unit."""
