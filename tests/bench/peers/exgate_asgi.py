"""ExGate's app for uvicorn and granian, with exchanges that allow everything if ``LIMITER`` is off."""

from __future__ import annotations

import os

from exgate_core import asgi
from exgate_core.budget import Budget


async def _at_once(*_: object) -> None:
    return None


def app() -> asgi.Hosted:
    """As ``exgate_core.asgi:app``."""
    if os.environ["LIMITER"] == "off":
        Budget.take = _at_once  # type: ignore[method-assign, assignment]
    return asgi.app()
