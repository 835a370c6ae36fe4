"""What the journal keeps of an order, and the SQL that keeps it. Plain functions over one connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

SCHEMA: Final = 1
KEPT_MS: Final = 30 * 24 * 3_600_000
"""How long a decided row is kept, ms."""

INTENT: Final = "INTENT"
SENT: Final = "SENT"
PLACED: Final = "PLACED"
REFUSED: Final = "REFUSED"
NOT_SENT: Final = "NOT_SENT"
UNKNOWN: Final = "UNKNOWN"
UNRESOLVED: Final = "UNRESOLVED"
STATES: Final = (INTENT, SENT, PLACED, REFUSED, NOT_SENT, UNKNOWN, UNRESOLVED)
UNDECIDED: Final = (INTENT, SENT, UNKNOWN, UNRESOLVED)
"""States in which nobody has yet said what became of the order."""
MAYBE_SENT: Final = (SENT, UNKNOWN, UNRESOLVED)


class Draft(Struct, frozen=True, kw_only=True):
    """An order that is about to be sent."""

    account: str
    key: str
    """``k:`` + the caller's Idempotency-Key, ``c:`` + its client_order_id, or ``g:`` + a number of ours."""
    fingerprint: str
    caller_id: str = ""
    """The client_order_id as the caller wrote it."""
    client_order_id: str = ""
    """The client order id that goes upstream."""
    symbol: str = ""
    side: str = ""
    request: str = ""
    """The order as canonical JSON, for people."""


class Row(Struct, frozen=True, array_like=True):
    """One order in the journal. Times are ms since the epoch, 0 = not yet."""

    id: int
    account: str
    key: str
    fingerprint: str
    caller_id: str
    client_order_id: str
    symbol: str
    side: str
    request: str
    state: str
    order_id: str
    created: int
    sent: int
    decided: int
    """When the state was last set after the send."""
    delivered: int
    """When the outcome was handed to a caller."""
    answer: str
    """The refusal as JSON: what a replay is told."""

    @property
    def undecided(self) -> bool:
        """Whether nobody has yet said what became of it."""
        return self.state in UNDECIDED


class Claim(Struct, frozen=True):
    """What came of claiming a key."""

    row: Row
    fresh: bool
    """The row was made for this draft: it may be sent."""


_TABLE = """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    caller_id TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    order_id TEXT NOT NULL DEFAULT '',
    created INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    decided INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    answer TEXT NOT NULL DEFAULT '',
    UNIQUE (account, key)
);
CREATE INDEX by_client_order_id ON orders (account, client_order_id) WHERE client_order_id != '';
CREATE INDEX by_caller_id ON orders (account, caller_id) WHERE caller_id != '';
CREATE INDEX by_order_id ON orders (account, order_id) WHERE order_id != '';
CREATE INDEX undecided ON orders (account) WHERE state IN ('INTENT', 'SENT', 'UNKNOWN', 'UNRESOLVED');
CREATE TABLE alive (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL);
PRAGMA user_version = 1;
"""
_DRAFT = Draft.__struct_fields__
_COLUMNS = ", ".join(Row.__struct_fields__)
_INSERT = (
    f"INSERT INTO orders ({', '.join(_DRAFT)}, state, created) "
    f"VALUES ({', '.join('?' * len(_DRAFT))}, 'INTENT', ?) RETURNING {_COLUMNS}"
)
_REARM = (
    f"UPDATE orders SET {', '.join(f'{name} = ?' for name in _DRAFT)}, state = 'INTENT', order_id = '', "
    f"created = ?, sent = 0, decided = 0, delivered = 0, answer = '' WHERE id = ? RETURNING {_COLUMNS}"
)


def create(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file."""
    connection.executescript(f"BEGIN IMMEDIATE;{_TABLE}COMMIT;")


def select(connection: sqlite3.Connection, where: str, *values: object) -> list[Row]:
    """The rows that meet a condition, newest first."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM orders WHERE {where} ORDER BY created DESC, id DESC", values)
    return [_row(columns) for columns in found]


def claim(connection: sqlite3.Connection, draft: Draft, now: int) -> Claim:
    """The row of the draft's key: the earlier one, or a new INTENT that may be sent."""
    same_key = select(connection, "account = ? AND key = ?", draft.account, draft.key)
    if same_key and not is_free(same_key[0]):
        return Claim(same_key[0], False)
    rival = _rival(connection, draft)
    if rival is not None:
        return Claim(rival, False)
    values: list[object] = [getattr(draft, name) for name in _DRAFT] + [now]
    if same_key:
        return Claim(_one(connection, _REARM, [*values, same_key[0].id]), True)
    return Claim(_one(connection, _INSERT, values), True)


def is_free(row: Row) -> bool:
    """Whether nothing was placed under the key, so that it may be used again.

    An INTENT without an errand has no task that sends it: the one process that holds the file has looked.
    """
    refused_and_told = row.state == REFUSED and row.delivered != 0 and row.key.startswith("c:")
    return row.state in (NOT_SENT, INTENT) or refused_and_told


def _rival(connection: sqlite3.Connection, draft: Draft) -> Row | None:
    """An earlier order with the same id upstream that the exchange might take for this one."""
    if not draft.client_order_id:
        return None
    rivals = select(
        connection,
        "account = ? AND client_order_id = ? AND key != ?",
        draft.account,
        draft.client_order_id,
        draft.key,
    )
    standing = (*MAYBE_SENT, PLACED) if draft.key.startswith("c:") else MAYBE_SENT
    return next((row for row in rivals if row.state in standing), None)


def mark_sent(connection: sqlite3.Connection, row_id: int, now: int) -> None:
    """From here on the order may be at the exchange."""
    connection.execute("UPDATE orders SET state = 'SENT', sent = ? WHERE id = ?", (now, row_id))


def decide(
    connection: sqlite3.Connection, row_id: int, state: str, order_id: str, answer: str, now: int, was: str
) -> None:
    """What became of the order, if it is in state ``was``; empty = in any undecided one."""
    connection.execute(
        "UPDATE orders SET state = ?, order_id = ?, answer = ?, decided = ? "
        "WHERE id = ? AND state IN ('INTENT', 'SENT', 'UNKNOWN', 'UNRESOLVED') AND ? IN ('', state)",
        (state, order_id, answer, now, row_id, was),
    )


def mark_delivered(connection: sqlite3.Connection, row_id: int, now: int) -> None:
    """A caller has been told."""
    connection.execute("UPDATE orders SET delivered = ? WHERE id = ? AND delivered = 0", (now, row_id))


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Drop decided rows older than 30 days."""
    connection.execute(
        "DELETE FROM orders WHERE created < ? AND state IN ('PLACED', 'REFUSED', 'NOT_SENT')", (now - KEPT_MS,)
    )


def keep_alive(connection: sqlite3.Connection, now: int) -> None:
    """A write that changes nothing of interest: it shows that the journal can be written."""
    connection.execute("INSERT INTO alive VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET at = excluded.at", (now,))


def _one(connection: sqlite3.Connection, statement: str, values: Sequence[object]) -> Row:
    return _row(connection.execute(statement, values).fetchone())


def _row(columns: Sequence[object]) -> Row:
    return msgspec.convert(columns, Row)
