"""What a section of an exchange served through ccxt may hold besides ExGate's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

__all__ = ["CcxtSettings"]


class CcxtSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one exchange."""

    ccxt: Mapping[str, Any] = {}
    """Given to ccxt's constructor: ``options`` and ``uid``, nothing else. Keys belong into ``api_key`` and so on."""

    def __post_init__(self) -> None:
        """Raises ValueError for a key that could move requests or keys elsewhere."""
        for key in self.ccxt:
            if key not in ("options", "uid"):
                raise ValueError(f"ccxt.{key}: only options and uid may be set here")
