"""How an order's errand ends for those who wait: the errors of before the send, of a bug, of a stop, of a deadline."""

from __future__ import annotations

from . import outcomes, rows
from .errands import Errand
from .errors import Aborted, ExGateError, Internal, Unimplemented
from .journal import JournalError
from .outcomes import Account, Verdict


def require(account: Account, operation: str) -> None:
    """Raise Unimplemented where the account's plugin doesn't have the operation."""
    if not account.has(operation):
        text = f"no installed plugin serves {operation} of {account.exchange.name}. Nothing was sent."
        raise Unimplemented(text, metadata={"operation": operation, "outcome": "refused"})


def kept(verdict: Verdict) -> ExGateError | None:
    """The error that goes into the journal with a verdict."""
    return verdict.error if verdict.state == rows.REFUSED else None


def unwritable(error: JournalError) -> Verdict:
    """Not sent, because the journal could not be written."""
    return Verdict(rows.NOT_SENT, error=outcomes.not_sent(outcomes.text_of(error), reason=error.reason))


def before(error: ExGateError, exchange: str) -> ExGateError:
    """An error from before the send, completed with what that means for the order."""
    if "outcome" in error.metadata:
        return outcomes.told(error, exchange)
    mine = outcomes.told(error, exchange)
    mine.metadata["outcome"] = "refused" if error.http < 500 else "not-sent"
    mine.message = f"{outcomes.text_of(error)}. Nothing was sent."
    return mine


def bug(errand: Errand, error: Exception) -> Verdict:
    """The verdict after an exception that nobody foresaw."""
    text = f"a bug in ExGate ({type(error).__name__}: {outcomes.text_of(error)})"
    if errand.phase == "writing" and errand.is_new:
        found = Internal(f"{text}. Nothing was sent.", metadata={"outcome": "not-sent"})
        return Verdict(rows.NOT_SENT, error=found)
    return Verdict(rows.UNKNOWN, error=outcomes.unknown(text))


def stopped(errand: Errand) -> Verdict:
    """The gateway ends before the errand did."""
    if errand.phase == "writing" and errand.is_new:
        return Verdict(rows.NOT_SENT, error=outcomes.not_sent("the gateway is shutting down", reason="SHUTTING_DOWN"))
    return Verdict(rows.UNKNOWN, error=outcomes.unknown("the gateway is shutting down"))


def late(errand: Errand, joined: bool) -> ExGateError:
    """What a caller is told whose deadline ends before the errand does."""
    if errand.phase == "writing" and errand.is_new:
        errand.expired = True
        return errand.held or outcomes.not_sent("the deadline passed before it could be sent")
    if joined and errand.phase != "looking":
        text = "a request with the same key is still in flight; ask again later with the same key."
        return Aborted(f"{text} It may have been sent.")
    return outcomes.unknown(errand.why or f"no answer of {errand.account.exchange.name} yet")
