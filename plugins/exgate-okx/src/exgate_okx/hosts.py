"""Where OKX lives, and what its public side promises.

OKX API v5, "Production Trading Services" and "Demo Trading Services" of www.okx.com/docs-v5/en (2026-06-27, which names
openapi.okx.com beside the older www.okx.com; its streams answer at the ordinary port 443 too), of my.okx.com/docs-v5
(EEA) and of app.okx.com/docs-v5 (US).
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from exgate_core.models import ExchangeCapabilities

from .settings import OkxSettings

BOOK = 400
"""The levels a side of ``books``, REST and stream ("GET / Order book", "WS / Order book channel")."""
FULL_BOOK = 5000
"""The levels a side of ``books-full`` ("GET / Full order book")."""
NEWEST = 500
"""The most trades of ``market/trades`` ("GET / Trades")."""

CAPABILITIES = ExchangeCapabilities(
    # "WS / Trades channel": trade 123 with count 3 stands for 123, 122 and 121: ids count up by one per instrument.
    trade_ids="contiguous",
    # "GET / Trades history": the last three months, which is no number of trades.
    trades_reach=None,
    trades_max=NEWEST,
    depth_max=BOOK,
    depth_windows=(BOOK,),
    checksum="crc32-okx",
    # OKX limits each endpoint by itself (limits.py); this is only a ceiling over all of them together.
    weight_limit=400,
    weight_window=2.0,
)


def capabilities_of(settings: OkxSettings) -> ExchangeCapabilities:
    """What the public side promises under these settings."""
    return replace(
        CAPABILITIES,
        trade_ids="ordered" if settings.trades == "merged" else CAPABILITIES.trade_ids,
        depth_max=FULL_BOOK if settings.full_depth else BOOK,
    )


class Host(Struct, frozen=True):
    """One of the exchange's regions."""

    rest: str
    stream: str
    demo_stream: str
    elp_for_all: bool = False
    """Whether ``isElpTakerAccess`` is for every kind of order, not for IOC ones alone ("Updates to OKX INC. API", for
    2026-06-09)."""

    def socket(self, path: str, demo: bool) -> str:
        """The URL of a WebSocket service: ``public`` or ``business``."""
        return f"wss://{self.demo_stream if demo else self.stream}/ws/v5/{path}"


HOSTS: Mapping[str, Host] = {
    "www.okx.com": Host("https://www.okx.com", "ws.okx.com:443", "wspap.okx.com:8443"),
    "openapi.okx.com": Host("https://openapi.okx.com", "ws.okx.com:443", "wspap.okx.com:8443"),
    "eea.okx.com": Host("https://eea.okx.com", "wseea.okx.com:8443", "wseeapap.okx.com:8443"),
    "us.okx.com": Host("https://us.okx.com", "wsus.okx.com:8443", "wsuspap.okx.com:8443", elp_for_all=True),
}
"""By the name in the settings."""
