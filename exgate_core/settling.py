"""What the door says about an order whose request failed: refused, not-sent or unknown, and never a guess."""

from __future__ import annotations

from .errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    ExGateError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    NotSent,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    Refused,
    Unauthenticated,
    Unimplemented,
)

_REFUSED = (
    InvalidArgument,
    FailedPrecondition,
    Refused,
    NotFound,
    AlreadyExists,
    Unauthenticated,
    PermissionDenied,
    Unimplemented,
)
_NOT_SENT = (RateLimited, NotSent)
_NOTHING, _MAYBE = "Nothing was sent.", "It may have been sent."
_ENDINGS = (_NOTHING, _MAYBE, "No order was placed.", "Nothing was canceled.")
_RETRY_AFTER = 1.0
"""Seconds after which to send again what is safe to send again, where nobody knows better."""


def as_error(error: Exception) -> ExGateError:
    """The error itself, or Internal for a bug, whose text stays in the log."""
    if isinstance(error, ExGateError):
        return error
    return Internal(f"a bug of ExGate or of a plugin ({type(error).__name__}); the log of the gateway says more")


def settle(error: Exception, *, may_have_left: bool) -> ExGateError:
    """A copy of the error with ``outcome`` in its metadata, a status that fits it, and what was sent at the end of its
    message: others may hold the same error, and it tells each of them something else.

    ``may_have_left`` tells whether the order was on its way when it was raised; a word about the outcome in the
    metadata stands above that.
    """
    known = as_error(error)
    outcome = known.metadata.get("outcome") or _outcome(known, may_have_left)
    known = _copy(_fitting(known, outcome))
    known.metadata["outcome"] = outcome
    if outcome == "not-sent" and known.status in (429, 503) and known.retry_after is None:
        known.retry_after = _RETRY_AFTER
    if not known.message.endswith(_ENDINGS):
        known.message = f"{_sentence(known.message)} {_ending(known, outcome, may_have_left)}"
    return known


def advise(error: Exception) -> ExGateError:
    """What to tell of a question that changed nothing: where it may simply be asked again, also when."""
    known = as_error(error)
    if known.status not in (503, 504) or known.retry_after is not None:
        return known
    known = _copy(known)
    known.retry_after = _RETRY_AFTER
    return known


def _outcome(error: ExGateError, may_have_left: bool) -> str:
    if isinstance(error, _REFUSED):
        return "refused"
    if isinstance(error, _NOT_SENT):
        return "not-sent"
    if may_have_left or isinstance(error, Aborted | OutcomeUnknown):
        return "unknown"
    return "refused" if error.status < 500 else "not-sent"


def _copy(error: ExGateError) -> ExGateError:
    # not copy.copy, which calls __init__: a plugin's own error may want other arguments there
    made: ExGateError = type(error).__new__(type(error), *error.args)
    made.__dict__.update(error.__dict__, metadata=dict(error.metadata))
    made.__cause__ = error.__cause__
    return made


def _fitting(error: ExGateError, outcome: str) -> ExGateError:
    """The same in a class whose status callers read rightly: 504 = unknown, 503 = not sent."""
    if outcome == "unknown" and not isinstance(error, Aborted | OutcomeUnknown):
        return OutcomeUnknown(error.message, metadata=error.metadata)
    if outcome == "not-sent" and isinstance(error, DeadlineExceeded | OutcomeUnknown):
        return NotSent(error.message, metadata=error.metadata, retry_after=error.retry_after)
    return error


def _ending(error: ExGateError, outcome: str, may_have_left: bool) -> str:
    if outcome == "unknown":
        return _MAYBE
    if may_have_left and isinstance(error, Refused | NotFound):
        return f"Beyond what the exchange refused: {_NOTHING}"
    return _NOTHING


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
