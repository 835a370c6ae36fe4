"""Where the log of ``exgate serve`` goes, and that one event stays one line."""

from __future__ import annotations

import logging

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029)}


class _Lines(logging.Formatter):
    """Escapes control characters, so that no caller's or exchange's text can forge a line or move a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).translate(_CONTROL)


def log_to_stderr() -> None:
    """Everything from INFO up, with time, level and origin, to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
