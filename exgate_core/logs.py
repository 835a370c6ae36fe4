"""Where the log of ``exgate serve`` goes, that one event stays one line, and that no secret is in it."""

from __future__ import annotations

import logging
import re

from .secrets import struck

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029)}

_BEARER = re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]{8,}")


class _Lines(logging.Formatter):
    """Escapes control characters, so that no caller's or exchange's text can forge a line or move a terminal.

    What is a secret of this process is struck out of the whole record, tracebacks and foreign loggers' lines included.
    """

    def format(self, record: logging.LogRecord) -> str:
        return _BEARER.sub(r"\1***", struck(super().format(record)))

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).translate(_CONTROL)


def log_to_stderr(level: str = "info") -> None:
    """Everything from this level up, with time, level and origin, to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter())
    logging.basicConfig(handlers=[handler], level=level.upper())


def set_level(level: str) -> None:
    """From which level up: ``server.log_level``, which is known only after what reading the settings has to say."""
    logging.getLogger().setLevel(level.upper())


def formatter() -> logging.Formatter:
    """Time, level, origin and message in one line."""
    return _Lines("%(asctime)s %(levelname)s %(name)s: %(message)s")
