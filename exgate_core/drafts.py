"""From a caller's request to the row that the journal keeps: key, fingerprint, client order id."""

from __future__ import annotations

import hashlib
import random
import re
from decimal import Decimal
from typing import Final

import msgspec

from . import client_ids, numbers, outcomes
from .contract import PlaceBody, check_order_id
from .errors import Aborted, ExGateError, InvalidArgument
from .models import Market
from .outcomes import Account
from .rows import DAMAGED, MAYBE_SENT, PLACED, Draft, Row

REPLAY_MS: Final = 24 * 3_600_000
"""How long a key replays its outcome, ms."""
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_CLIENT_ID: Final = "client_order_id"


def make(account: Account, market: Market, body: PlaceBody, key: str, chance: random.Random) -> Draft:
    """The draft of an order. Raises InvalidArgument for a key or an id that can't be one."""
    if key and not _KEY.fullmatch(key):
        raise InvalidArgument.of("Idempotency-Key", "must be 1 to 255 printable ASCII characters")
    caller_id = body.options.get(_CLIENT_ID, "")
    check_order_id(f"options.{_CLIENT_ID}", caller_id)
    options = {name: _canonical(text) for name, text in sorted(body.options.items()) if text and name != _CLIENT_ID}
    order = [market.symbol, body.side.lower(), body.type.lower(), _canonical(body.price), _canonical(body.amount)]
    return Draft(
        account=account.identity,
        key=f"k:{key}" if key else f"c:{caller_id}" if caller_id else f"g:{chance.getrandbits(128):032x}",
        fingerprint=hashlib.sha256(msgspec.json.encode([*order, options])).hexdigest(),
        caller_id=caller_id,
        client_order_id=_upstream(account, caller_id, key, chance),
        symbol=market.symbol,
        side=body.side.lower(),
        request=msgspec.json.encode(body).decode(),
    )


def of_row(row: Row) -> Draft:
    """The draft that a row was made of."""
    return msgspec.convert({name: getattr(row, name) for name in Draft.__struct_fields__}, Draft)


def _canonical(text: str) -> str:
    """Two spellings of one number are one order."""
    return format(Decimal(text).normalize(), "f") if numbers.is_decimal(text) else text


def _upstream(account: Account, caller_id: str, key: str, chance: random.Random) -> str:
    rule = account.capabilities.client_ids
    if rule is None:
        return ""
    if caller_id:
        return client_ids.own(rule, caller_id)
    return client_ids.derived(rule, "key", account.identity, key) if key else client_ids.fresh(rule, chance)


def same_order(draft: Draft, other: Draft | Row) -> bool:
    """Whether a request with the same key, or the same client order id, asks for the same order."""
    same_id = draft.key != other.key or draft.caller_id == other.caller_id
    return same_id and draft.fingerprint == other.fingerprint


def conflict(draft: Draft, row: Row, age_ms: int) -> ExGateError | None:
    """Why a request may not have the outcome of an earlier row, which is so old; None = it may."""
    if row.state == DAMAGED:  # its key, or what its key was before the damage: so its client order id tells
        return None
    if draft.key.startswith("c:"):
        return _conflict_of_id(draft, row, age_ms)
    if draft.key != row.key:
        return rival(draft)
    if not same_order(draft, row):
        return reused(draft)
    if row.state not in MAYBE_SENT and age_ms > REPLAY_MS:
        return outcomes.exists("this Idempotency-Key was used more than 24 hours ago; take a new one", row.order_id)
    return None


def _conflict_of_id(draft: Draft, row: Row, age_ms: int) -> ExGateError | None:
    if row.state == PLACED and (row.delivered or not same_order(draft, row) or age_ms > REPLAY_MS):
        text = f"client_order_id {draft.caller_id} belongs to the earlier order {row.order_id}"
        return outcomes.exists(text, row.order_id)
    return None if same_order(draft, row) else reused(draft)


def reused(draft: Draft) -> InvalidArgument:
    """400: another order under the same key."""
    field = "Idempotency-Key" if draft.key.startswith("k:") else f"options.{_CLIENT_ID}"
    text = "was used for another order; take a new one for each order that you want"
    return InvalidArgument.of(field, text, reason="IDEMPOTENCY_KEY_REUSED")


def rival(draft: Draft) -> Aborted:
    """409: an undecided order of another key has the same client order id."""
    text = f"an order with client_order_id {draft.client_order_id} is still undecided; ask again later. "
    return Aborted(text + "Nothing was sent.", reason="CLIENT_ORDER_ID_IN_FLIGHT", metadata={"outcome": "not-sent"})
