"""One line in the log for each private call of an account that isn't a simulation: who, what, and how it ended.

The logger is ``exgate.audit``; a line holds ``key=value`` pairs, values with odd characters in JSON quotes.
"""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING

from .replies import Reply

if TYPE_CHECKING:
    from .incoming import Incoming
    from .operations import Operation

_LOG = logging.getLogger("exgate.audit")
_PLAIN = re.compile(r"[A-Za-z0-9_./:+-]+", re.ASCII)
_TOLD = {
    b"exgate-outcome": "outcome",
    b"exgate-reason": "reason",
    b"exgate-client-order-id": "client_order_id",
    b"exgate-replayed": "replayed",
}


def note(operation: Operation, asked: Incoming, reply: Reply) -> None:
    """Write the line, if this was such a call; calls that were refused included."""
    if asked.caller is None:
        return
    pairs = {"exchange": asked.name, "caller": asked.caller.name, "status": str(reply.status), **asked.about}
    pairs.update({_TOLD[name]: value.decode() for name, value in reply.headers if name in _TOLD})
    words = (f"{key}={_shown(value)}" for key, value in pairs.items() if value)
    _LOG.info("%s %s", operation.id.removeprefix("ExGate_"), " ".join(words))


def _shown(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value[:100])
