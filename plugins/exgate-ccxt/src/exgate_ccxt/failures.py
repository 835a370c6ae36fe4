"""What a failed call proves. The class of a ccxt exception alone proves nothing: the answer behind it does.

Refused and RateLimited are raised only where an exchange's own JSON answer says so. Before a request has left, every
failure is a refusal of ours. Everything else is passed on as it is, which the orders room reads as "unknown".
"""

from __future__ import annotations

import json
import re
from typing import Final

from exgate_core.errors import (
    DUPLICATE,
    DeadlineExceeded,
    ExGateError,
    NotFound,
    NotSent,
    RateLimited,
    Refused,
    Unavailable,
    Unimplemented,
)

from .intents import Intent
from .truth import bad_answer

__all__ = ["proven", "unreadable"]

_DEFINITE: Final = frozenset(
    """AuthenticationError PermissionDenied AccountNotEnabled AccountSuspended BadSymbol BadRequest
    ArgumentsRequired OperationRejected NoChange MarketClosed ManualInteractionNeeded RestrictedLocation
    InsufficientFunds InvalidOrder OrderImmediatelyFillable OrderNotFillable DuplicateOrderId
    ContractUnavailable InvalidNonce NotSupported OnMaintenance""".split()
)
"""ccxt's classes that its tables of codes give to refusals only."""
_REASONS: Final = {
    **dict.fromkeys(("AuthenticationError", "PermissionDenied"), "EXCHANGE_AUTH_FAILED"),
    "InsufficientFunds": "INSUFFICIENT_BALANCE",
    "OrderImmediatelyFillable": "WOULD_TAKE",
    "BadSymbol": "UNKNOWN_SYMBOL",
    "InvalidNonce": "CLOCK_SKEW",
    "MarketClosed": "MARKET_CLOSED",
}
"""What a refusal is called, where ccxt's class for it means one thing."""
_VAGUE: Final = frozenset({"ExchangeError"})
"""ccxt's class for answers that it knows as errors and as nothing more."""
_LIMITS: Final = frozenset({"DDoSProtection", "RateLimitExceeded"})
_MISSING: Final = frozenset({"OrderNotFound"})
_LIMITS_PROVE: Final = {
    # binance-spot-api-docs, rest-api.md, "LIMITS": "Requests fail with HTTP status code 429 when you exceed ..."
    "binance": re.compile(r"\A(?!.*requests queued)", re.DOTALL),
    # Kraken, "Spot trading rate limits": at the threshold the engine generates this rejection message
    # ... and "API rate limits", "General usage errors": a request that is turned away so isn't looked at
    "kraken": re.compile("EOrder:(Domain )?[Rr]ate limit exceeded|EAPI:Rate limit exceeded|EGeneral:Too many requests"),
    # OKX API v5, "Rate Limits" and "Error Code": 50011 and 50061 refuse the request
    **dict.fromkeys(("okx", "okxus", "myokx"), re.compile('"s?[cC]ode": ?"(50011|50061)"')),
}
"""Answers of which a document says that the request wasn't processed. Elsewhere the outcome of an order or a cancel
is unknown: KuCoin's 429000 says that the server is overloaded, others only that a limit was reached."""
_DOUBLE: Final = re.compile(
    r"duplicat|already (exist|used|been used)|order ?id (is )?(repeated|exist)|51016|client.?o?id.*(exist|repeat)",
    re.IGNORECASE,
)
_UNDECIDED: Final = re.compile(
    r"unknown|timed? ?out|time-?out|internal|try again|busy|unavailable|no longer available|disconnected|unexpected|"
    r"server error",
    re.IGNORECASE,
)
"""Words with which exchanges tell that they don't know themselves."""
_NO_SUCH: Final = re.compile(
    r"(unknown|no such) order|order[^\"]{0,40}(does|was|is|do)?( not|n't)[ _]?(exist|found)|EOrder:Invalid order|"
    r"invalid[ _]?order[ _]?id|no[ _]active[ _]order|order[ _]not[ _](exist|found)",
    re.IGNORECASE,
)
"""Words for an order that isn't there, for which ccxt has another class at some exchanges."""
_THROTTLED: Final = re.compile(r"throttl|too many|rate.?limit", re.IGNORECASE)
_WRONG_KEYS: Final = re.compile(
    r"(invalid|wrong|incorrect) (api[- _]?)?(sign|signature|key)\b|jwt_verification|invalid_access_key|"
    r"api[- _]?key( info)?( is)? (invalid|wrong|incorrect|expired)",
    re.IGNORECASE,
)
"""Words for credentials that the exchange doesn't take: it looks at them before it looks at anything else."""
_TOO_LITTLE: Final = re.compile(
    r"(insufficient|not enough)[\W_]*(\w+?[\W_]+){0,2}(balance|funds?)|"
    r"balance[\W_]*(is[\W_])?(insufficient|not[\W_]enough)",
    re.IGNORECASE,
)
"""Words for an order that the account can't pay."""
_RULE: Final = re.compile(
    r"insufficient|not[ _]enough|too[ _](small|large|low|high|big)\b|precision|validation_error|"
    r"(min|max)(imum)?[ _](order|amount|quantity|size|price|notional|value|volume|total|trade|transaction)|"
    r"invalid[ _-]?(param|price|amount|quantity|size|volume|side|type|symbol|market|pair|order)|"
    r"(less|lower|greater|higher|larger|smaller)[ _]than",
    re.IGNORECASE,
)
"""Words for a rule that an order breaks: an exchange that says so has looked at it and not taken it."""
_A_SYMBOL: Final = re.compile("symbol|pair|market|instrument|product|currency|coin|asset", re.IGNORECASE)
_WRONG_TIME: Final = re.compile(
    r"time ?stamp\b.{0,40}\b(expired?|outside|ahead|far|window|exceeds|differs?|invalid)\b|"
    r"REQUEST_EXPIRED|outside.{0,20}recv_?window",
    re.IGNORECASE,
)
"""Words for a request whose time isn't the exchange's."""
_WALLS: Final = frozenset({403, 408, 409, 451})
"""Statuses of what stands in front of an exchange, or of a request that it still has in hand: they prove nothing."""
_OWN_WALLS: Final = {"bitvavo": frozenset({403})}
"""Those with which an exchange's documents have it refuse all the same: Bitvavo, "Errors", 300 and above, of keys."""
_NEVER_WITH_200: Final = frozenset(
    """binance binanceus bitfinex bithumb bitvavo coinbaseexchange cryptocom gate gateeu gemini mexc poloniex upbit
    whitebit""".split()
)
"""Exchanges whose documents have a status from 400 on for every refusal: a code with a good one contradicts itself."""
_WITH_500: Final = {
    # Bitfinex API v2, "Errors": refusals come with the status 500 too; 10001 "Invalid order ...", 10020 a parameter,
    # 10100 the key, 10112 the signature, 10114 the nonce
    "bitfinex": re.compile(r'\["error", ?(10001, ?"(Invalid order|Order not found)|10020|10100|10112|10114)'),
}
"""Answers with a status of 500 or more by which an exchange says no."""
_VALUES: Final = re.compile(r':\s*"([^"]{4,})"')
_LONGEST, _READ = 200, 5000
_PAUSE: Final = 5.0
"""Seconds to wait where an exchange doesn't say how long."""


def proven(error: Exception, intent: Intent, exchange_id: str) -> Exception:
    """The error to raise instead: one of the four that prove something, or the same one."""
    if isinstance(error, ExGateError):
        return error
    if not intent.sends:
        return Refused(f"it can't be sent as it is: {_text(error)}", reason="NOT_SENDABLE")
    if _never_left(error):
        return NotSent(f"no connection to {exchange_id}: {_text(error)}")
    return _of_answer(error, intent, exchange_id) if intent.status else error


def unreadable(error: Exception, exchange_id: str, url: str) -> ExGateError:
    """The error of a question whose failure proves nothing."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "NotSupported" in kinds:
        return Unimplemented(f"{exchange_id} has no such question")
    if "RequestTimeout" in kinds:
        return DeadlineExceeded(f"{exchange_id} gave no answer in time")
    if "BaseError" in kinds:
        return Unavailable(f"{exchange_id} gave no usable answer ({type(error).__name__})")
    return bad_answer(url or exchange_id, type(error).__name__)


def _of_answer(error: Exception, intent: Intent, exchange_id: str) -> Exception:
    kind, said = type(error).__name__, _said(intent.body)
    throttled = intent.operation == "read" and _THROTTLED.search(said)
    if kind in _LIMITS or intent.status in (418, 429) or throttled:
        return _limit(error, intent, exchange_id, said)
    if kind in _MISSING and intent.operation == "read" and intent.status < 400 and intent.evidence.nothing:
        return NotFound(said[:_LONGEST] or "there is no such order")  # an empty list says so without a word
    if not said or not _refuses_with(intent.status, exchange_id, said):
        return error
    if intent.operation == "place":
        return _of_place(error, kind, said, intent)
    if intent.status < 400 and not _meant(kind, intent):
        return error
    if kind in _MISSING or (kind in _DEFINITE | _VAGUE and _NO_SUCH.search(said)):
        return NotFound(said[:_LONGEST])
    if _WRONG_KEYS.search(said):
        return _refused("AuthenticationError", said)
    return _refused(kind, said) if kind in _DEFINITE else error


def _refused(kind: str, said: str) -> Refused:
    if _WRONG_TIME.search(said):
        kind = "InvalidNonce"
    elif _TOO_LITTLE.search(said):
        kind = "InsufficientFunds"
    elif kind == "PermissionDenied" and _RULE.search(said):
        kind = "InvalidOrder"  # Bitfinex's 10001 is of both
    elif kind == "BadSymbol" and not _A_SYMBOL.search(said):
        kind = "BadRequest"  # KuCoin's 400600, "validation.createOrder...", is of everything in an order
    return Refused(said[:_LONGEST], reason=_REASONS.get(kind, "EXCHANGE_REFUSED"))


def _meant(kind: str, intent: Intent) -> bool:
    """Whether a good status with an error behind it is one: ccxt also raises for what it only didn't find."""
    return intent.evidence.told or (kind in _MISSING and intent.evidence.nothing)


def _of_place(error: Exception, kind: str, said: str, intent: Intent) -> Exception:
    if kind == "DuplicateOrderId" or (kind in _DEFINITE | _VAGUE and _DOUBLE.search(said)):
        return Refused(said[:_LONGEST], reason=DUPLICATE)
    if intent.status < 400 and not (intent.evidence.told or _quoted(error, said)):
        return error  # ccxt's own doubts about a good answer: the order may stand
    if _WRONG_KEYS.search(said):
        return _refused("AuthenticationError", said)
    ruled = kind in _VAGUE and (intent.evidence.told or intent.status >= 400) and _RULE.search(said)
    if (kind in _DEFINITE or ruled) and not _UNDECIDED.search(said):
        return _refused(kind, said)
    return error


def _quoted(error: Exception, said: str) -> bool:
    """Whether an error says what the answer says."""
    text = str(error)
    return said in " ".join(text.split()) or any(words in text for words in _VALUES.findall(said))


def _limit(error: Exception, intent: Intent, exchange_id: str, said: str) -> Exception:
    proof = _LIMITS_PROVE.get(exchange_id)
    told = intent.status in (418, 429) or _refuses_with(intent.status, exchange_id, said)
    if intent.operation != "read" and (proof is None or not proof.search(intent.body) or not told):
        return error
    wait = next((value for name, value in intent.headers.items() if name.lower() == "retry-after"), "")
    seconds = float(wait) if re.fullmatch(r"[0-9]{1,6}", wait) else _PAUSE
    return RateLimited(said[:_LONGEST] or f"HTTP {intent.status}", retry_after=seconds)


def _never_left(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NotSent) or type(cause).__name__ in ("ClientConnectorError", "ClientConnectorDNSError"):
            return True
        cause = cause.__cause__
    return False


def _refuses_with(status: int, exchange_id: str, said: str) -> bool:
    """Whether an exchange that says no says it with this status."""
    if status >= 500:
        known = _WITH_500.get(exchange_id)
        return known is not None and known.match(said) is not None
    if status >= 400:
        return status not in _WALLS or status in _OWN_WALLS.get(exchange_id, ())
    return 200 <= status < 300 and exchange_id not in _NEVER_WITH_200


def _said(body: str) -> str:
    """What an answer in JSON says; empty where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return " ".join(body.split())[:_READ] if isinstance(found, dict | list) and found else ""


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST] or type(error).__name__
