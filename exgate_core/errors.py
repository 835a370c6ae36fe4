"""Everything that can go wrong, as one tree. A door turns any of these into one google.rpc.Status.

    ExGateError
    ├── InvalidArgument      3  400   the request breaks a rule; names the field
    ├── FailedPrecondition   9  400   the request is fine, the state isn't
    ├── Refused              9  400   the exchange provably refused                      (adapters raise it)
    ├── NotFound             5  404   no such order, exchange or path                    (adapters raise it)
    ├── AlreadyExists        6  409   this client order id was used before
    ├── Aborted             10  409   the same key is in flight
    ├── Unauthenticated     16  401   no token, or a wrong one
    ├── PermissionDenied     7  403   this caller may not
    ├── RateLimited          8  429   wait ``retry_after``; nothing was done             (adapters raise it)
    ├── NotSent             14  503   certainly not sent                                 (adapters raise it)
    ├── Unavailable         14  503   the exchange gave no usable answer to a question
    ├── DeadlineExceeded     4  504   no answer in time
    ├── OutcomeUnknown       4  504   an order or cancel was sent, its outcome is unknown
    ├── Unimplemented       12  501   no adapter of this exchange can do that
    └── Internal            13  500   a bug before anything was sent

The number is the google.rpc.Code, then the HTTP status. Adapters raise NotSent, Refused, RateLimited and NotFound;
anything else that escapes from them after a send means that the outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

DUPLICATE: Final = "DUPLICATE_CLIENT_ORDER_ID"
"""The reason of a Refused by which an adapter says that the exchange already has an order with this client id."""

OTHER_ORDER: Final = "OTHER_ORDER"
"""The reason of an Unavailable by which an adapter says that an order was taken in, but the answer names another one
than was sent: ``order_id`` and, where the answer has one, ``named`` (its client order id) in the metadata. The core
knows what it has sent: an answer about another order of its own proves nothing, a name that nobody here gave is only
odd."""


class Violation(NamedTuple):
    """One broken rule of a request (google.rpc.BadRequest.FieldViolation)."""

    field: str
    description: str


class ExGateError(Exception):
    """The root. ``message`` is for people, ``reason`` (UPPER_SNAKE) and ``metadata`` for programs."""

    code: ClassVar[int] = 13
    http: ClassVar[int] = 500
    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata: dict[str, str] = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after
        """Seconds after which asking again is safe and useful."""
        self.status = status or self.http
        """The HTTP status; differs from the class's only where the contract says so (413, 415, 405)."""


class InvalidArgument(ExGateError):
    """The request breaks a rule; nothing was done."""

    code, http, default_reason = 3, 400, "INVALID_ARGUMENT"

    @classmethod
    def of(cls, field: str, description: str, *, reason: str = "") -> InvalidArgument:
        """An error about one field: the description says the rule and the fix."""
        return cls(f"{field}: {description}", reason=reason, violations=[Violation(field, description)])


class FailedPrecondition(ExGateError):
    """The request is well-formed but can't be done in the present state."""

    code, http, default_reason = 9, 400, "FAILED_PRECONDITION"


class Refused(ExGateError):
    """The exchange provably refused: it answered, and nothing was done. ``message`` is its reason."""

    code, http, default_reason = 9, 400, "EXCHANGE_REFUSED"


class NotFound(ExGateError):
    """There is no such order, market, exchange or path."""

    code, http, default_reason = 5, 404, "NOT_FOUND"


class AlreadyExists(ExGateError):
    """The client order id belongs to an earlier order."""

    code, http, default_reason = 6, 409, "ALREADY_EXISTS"


class Aborted(ExGateError):
    """A request with the same key is still in flight."""

    code, http, default_reason = 10, 409, "IN_FLIGHT"


class Unauthenticated(ExGateError):
    """The caller brought no valid token."""

    code, http, default_reason = 16, 401, "UNAUTHENTICATED"


class PermissionDenied(ExGateError):
    """This caller, Host or Origin may not do that."""

    code, http, default_reason = 7, 403, "PERMISSION_DENIED"


class RateLimited(ExGateError):
    """Provably not processed because of a limit, ours or the exchange's."""

    code, http, default_reason = 8, 429, "RATE_LIMITED"


class NotSent(ExGateError):
    """The request certainly never reached the exchange: no connection, no name, no TLS, shutting down."""

    code, http, default_reason = 14, 503, "NOT_SENT"


class Unavailable(ExGateError):
    """The exchange gave no usable answer to a question that changes nothing."""

    code, http, default_reason = 14, 503, "EXCHANGE_UNAVAILABLE"


class DeadlineExceeded(ExGateError):
    """No answer in time to a question that changes nothing."""

    code, http, default_reason = 4, 504, "DEADLINE_EXCEEDED"


class OutcomeUnknown(ExGateError):
    """An order or cancel left for the exchange and nobody can tell yet what became of it."""

    code, http, default_reason = 4, 504, "ORDER_OUTCOME_UNKNOWN"


class Unimplemented(ExGateError):
    """No installed adapter of this exchange has the operation."""

    code, http, default_reason = 12, 501, "UNIMPLEMENTED"


class Internal(ExGateError):
    """A bug of ExGate or of a plugin before anything was sent."""
