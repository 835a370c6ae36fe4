"""What the journal keeps of an order, and the SQL that keeps it. Plain functions over one connection."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct, structs

SCHEMA: Final = 2
KEPT_MS: Final = 30 * 24 * 3_600_000
"""How long a decided row is kept, ms."""
_PRUNED_AT_ONCE: Final = 500

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
DAMAGED: Final = "DAMAGED"
"""How a row is read that isn't what was written: nobody can tell what became of its order. Never in the file."""
_DECIDED: Final = (PLACED, REFUSED, NOT_SENT)


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
    witnessed: int
    """When it was made on the journal's own clock, which no jump of the machine's clock moves."""
    sent_there: int = 0
    """``sent`` on the exchange's clock; 0 = nobody had measured that."""

    @property
    def undecided(self) -> bool:
        """Whether nobody has yet said, or can still tell, what became of it."""
        return self.state not in _DECIDED


class Claim(Struct, frozen=True):
    """What came of claiming a key."""

    row: Row
    fresh: bool
    """The row was made for this draft: it may be sent."""


class Mark(Struct, frozen=True, array_like=True):
    """What the file says of itself; every commit writes it. Times are ms."""

    witnessed: int
    """The journal's own clock: it counts only time that the file saw pass, so it never jumps."""
    wall: int
    """The machine's clock beside it."""
    commits: int
    """How many commits the file has had."""


_ORDERS = """
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
    order_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    decided INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    answer TEXT NOT NULL,
    witnessed INTEGER NOT NULL,
    sent_there INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (account, key)
);
CREATE INDEX by_client_order_id ON orders (client_order_id, account, witnessed) WHERE client_order_id != '';
CREATE INDEX by_caller_id ON orders (caller_id, account, witnessed) WHERE caller_id != '';
CREATE INDEX by_order_id ON orders (order_id, account, witnessed) WHERE order_id != '';
CREATE INDEX undecided ON orders (account, witnessed) WHERE state IN ('INTENT', 'SENT', 'UNKNOWN', 'UNRESOLVED');
CREATE INDEX by_age ON orders (witnessed);
"""
_ALIVE = """
CREATE TABLE alive (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    witnessed INTEGER NOT NULL,
    wall INTEGER NOT NULL,
    commits INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
PRAGMA user_version = 2;
"""
_OLD_INDEXES = ("by_client_order_id", "by_caller_id", "by_order_id", "undecided")
_FIELDS = Row.__struct_fields__
_EMPTY: Final = Row(0, "", "", "", "", "", "", "", "", "", "", 0, 0, 0, 0, "", 0)
_COLUMNS = ", ".join((*_FIELDS, "checksum"))
_NEWEST_FIRST = "ORDER BY witnessed DESC, id DESC"
_INSERT = f"INSERT INTO orders ({_COLUMNS}) VALUES ({', '.join('?' * (len(_FIELDS) + 1))})"
_MARK = (
    "INSERT INTO alive VALUES (1, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET witnessed = excluded.witnessed, "
    "wall = excluded.wall, commits = excluded.commits, checksum = excluded.checksum"
)
# A partial index is used only where the query repeats its condition.
BY_KEY: Final = "account = ? AND key = ?"
BY_ORDER_ID: Final = "order_id = ? AND order_id != '' AND account = ?"
BY_CLIENT_ORDER_ID: Final = "client_order_id = ? AND client_order_id != '' AND account = ?"
BY_CALLER_ID: Final = "caller_id = ? AND caller_id != '' AND account = ?"
OPEN: Final = "state IN ('INTENT', 'SENT', 'UNKNOWN', 'UNRESOLVED')"
"""The condition of the index of undecided rows."""
MAYBE_THERE: Final = "state NOT IN ('INTENT', 'REFUSED', 'NOT_SENT')"
"""The exchange has the order, or may have it."""


def prepare(connection: sqlite3.Connection) -> None:
    """Let damaged text be read, so that it can be reported."""
    connection.text_factory = _text


def create(connection: sqlite3.Connection, now: int) -> None:
    """Make the tables in an empty file."""
    _run_all(connection, f"BEGIN IMMEDIATE;{_ORDERS}{_ALIVE}")
    keep_alive(connection, Mark(now, now, 0))
    connection.execute("COMMIT")


def migrate(connection: sqlite3.Connection, now: int) -> None:
    """Bring the tables of version 1 to this version, all or nothing.

    That version has only the machine's clock to tell a row's age: where it says old, it isn't believed beyond half of
    the time that rows are kept.
    """
    drops = "".join(f"DROP INDEX {name};" for name in _OLD_INDEXES)
    _run_all(connection, f"BEGIN IMMEDIATE;{drops}ALTER TABLE orders RENAME TO earlier;DROP TABLE alive;{_ORDERS}")
    old = ", ".join(_FIELDS[: _FIELDS.index("witnessed")])
    created = _FIELDS.index("created")
    for columns in connection.execute(f"SELECT {old} FROM earlier ORDER BY id"):
        made = columns[created] if isinstance(columns[created], int) else now
        values = (*map(_storable, columns), min(max(made, now - KEPT_MS // 2), now), 0)
        connection.execute(_INSERT, (*values, _checksum(values[1:])))
    _run_all(connection, f"DROP TABLE earlier;{_ALIVE}")
    keep_alive(connection, Mark(now, now, 0))
    connection.execute("COMMIT")


def select(connection: sqlite3.Connection, where: str, *values: object) -> list[Row]:
    """The rows that meet a condition, newest first."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM orders WHERE {where} {_NEWEST_FIRST}", values)
    return [_row(columns) for columns in found]


def newest(connection: sqlite3.Connection, where: str, *values: object) -> Row | None:
    """The newest row that meets a condition."""
    statement = f"SELECT {_COLUMNS} FROM orders WHERE {where} {_NEWEST_FIRST} LIMIT 1"
    columns = connection.execute(statement, values).fetchone()
    return None if columns is None else _row(columns)


def newest_of_two_markets(connection: sqlite3.Connection, where: str, *values: object) -> list[Row]:
    """The newest row that meets a condition, and the newest one of other markets than its own."""
    first = newest(connection, where, *values)
    if first is None:
        return []
    other = newest(connection, f"{where} AND symbol != ?", *values, first.symbol)
    return [first] if other is None else [first, other]


def exists(connection: sqlite3.Connection, where: str, *values: object) -> bool:
    """Whether a row meets a condition."""
    return connection.execute(f"SELECT 1 FROM orders WHERE {where} LIMIT 1", values).fetchone() is not None


def undecided(connection: sqlite3.Connection) -> list[Row]:
    """The undecided rows of all accounts, newest first."""
    found = [_row(columns) for columns in connection.execute(f"SELECT {_COLUMNS} FROM orders WHERE {OPEN}")]
    return sorted(found, key=lambda row: (row.witnessed, row.id), reverse=True)


def damaged(connection: sqlite3.Connection) -> Iterator[Row]:
    """Every row that isn't what was written."""
    for columns in connection.execute(f"SELECT {_COLUMNS} FROM orders"):
        if (row := _row(columns)).state == DAMAGED:
            yield row


def claim(connection: sqlite3.Connection, draft: Draft, now: int, witnessed: int) -> Claim:
    """The row of the draft's key: the earlier one, or a new INTENT that may be sent."""
    same_key = newest(connection, BY_KEY, draft.account, draft.key)
    if same_key is not None and not is_free(same_key):
        return Claim(same_key, False)
    rival = _rival(connection, draft)
    if rival is not None:
        return Claim(rival, False)
    row_id = same_key.id if same_key is not None else _next_id(connection)
    made = structs.replace(_EMPTY, id=row_id, **structs.asdict(draft), state=INTENT, created=now, witnessed=witnessed)
    if same_key is not None:
        write(connection, made, _FIELDS[1:])
    else:
        values = structs.astuple(made)
        connection.execute(_INSERT, (*values, _checksum(values[1:])))
    return Claim(made, True)


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
    rivals = select(connection, f"{BY_CLIENT_ORDER_ID} AND key != ?", draft.client_order_id, draft.account, draft.key)
    harmless = (INTENT, REFUSED, NOT_SENT) if draft.key.startswith("c:") else (INTENT, *_DECIDED)
    return next((row for row in rivals if row.state not in harmless), None)


def mark_sent(connection: sqlite3.Connection, row_id: int, now: int, there: int) -> None:
    """From here on the order may be at the exchange; ``there``: the time on its clock, 0 = not known."""
    row = _intact(connection, row_id)
    if row is not None:
        write(connection, structs.replace(row, state=SENT, sent=now, sent_there=there), ("state", "sent", "sent_there"))


def decide(
    connection: sqlite3.Connection, row_id: int, state: str, order_id: str, answer: str, now: int, was: str
) -> None:
    """What became of the order, if it is in state ``was``; empty = in any undecided one.

    Only who says that it was DAMAGED decides a damaged row.
    """
    row = newest(connection, "id = ?", row_id) if was == DAMAGED else _intact(connection, row_id)
    if row is None or not row.undecided or was not in ("", row.state):
        return
    names = _FIELDS[1:] if row.state == DAMAGED else ("state", "order_id", "answer", "decided")
    write(connection, structs.replace(row, state=state, order_id=order_id, answer=answer, decided=now), names)


def mark_delivered(connection: sqlite3.Connection, row_id: int, now: int) -> None:
    """A caller has been told."""
    row = _intact(connection, row_id)
    if row is not None and not row.delivered:
        write(connection, structs.replace(row, delivered=now), ("delivered",))


def suspect_intents(connection: sqlite3.Connection, now: int) -> int:
    """Commits are missing: what is INTENT may have been sent in them. How many were."""
    intents = [row for row in undecided(connection) if row.state == INTENT]
    for row in intents:
        write(connection, structs.replace(row, state=UNKNOWN, sent=now), ("state", "sent"))
    return len(intents)


def write(connection: sqlite3.Connection, row: Row, names: Sequence[str]) -> None:
    """Write these columns of a row, and the checksum of all."""
    values = structs.astuple(row)
    changed = [getattr(row, name) for name in names]
    statement = f"UPDATE orders SET {', '.join(f'{name} = ?' for name in names)}, checksum = ? WHERE id = ?"
    connection.execute(statement, (*changed, _checksum(values[1:]), row.id))


def prune(connection: sqlite3.Connection, witnessed: int) -> bool:
    """Drop decided rows older than 30 days, some at a time; whether that were all. A damaged one stays."""
    statement = (
        f"SELECT {_COLUMNS} FROM orders WHERE witnessed < ? AND state IN ('PLACED', 'REFUSED', 'NOT_SENT') "
        "ORDER BY witnessed LIMIT ?"
    )
    found = connection.execute(statement, (witnessed - KEPT_MS, _PRUNED_AT_ONCE)).fetchall()
    old = [row for columns in found if (row := _row(columns)).state != DAMAGED]
    connection.executemany("DELETE FROM orders WHERE id = ?", [(row.id,) for row in old])
    return len(old) < _PRUNED_AT_ONCE


def keep_alive(connection: sqlite3.Connection, mark: Mark) -> None:
    """A write that changes nothing of an order: it tells time and number of the commit."""
    values = structs.astuple(mark)
    connection.execute(_MARK, (*values, _checksum(values)))


def last_mark(connection: sqlite3.Connection) -> Mark | None:
    """What the last commit wrote; None where that isn't what was written."""
    columns = connection.execute("SELECT witnessed, wall, commits, checksum FROM alive").fetchone()
    if columns is None or columns[-1] != _checksum(columns[:-1]):
        return None
    return Mark(*columns[:-1])


def newest_witnessed(connection: sqlite3.Connection) -> int:
    """The journal's own clock as its newest row has it; 0 = no rows."""
    found: int = connection.execute("SELECT coalesce(max(witnessed), 0) FROM orders").fetchone()[0]
    return found


def _next_id(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM orders").fetchone()[0]
    return found


def _intact(connection: sqlite3.Connection, row_id: int) -> Row | None:
    row = newest(connection, "id = ?", row_id)
    if row is not None and row.state == DAMAGED:
        raise sqlite3.DatabaseError(f"row {row_id} is damaged")
    return row


def _row(columns: Sequence[object]) -> Row:
    *values, checksum = columns
    if checksum == _checksum(tuple(values[1:])):
        # Even so it may be from a version that kept no checksums, or that knows other states.
        with suppress(msgspec.ValidationError):
            row = msgspec.convert(values, Row)
            if row.state in STATES:
                return row
    return _readable(values)


def _readable(values: Sequence[object]) -> Row:
    """What can be read of a damaged row."""
    kinds = {name: type(default) for name, default in structs.asdict(_EMPTY).items()}
    kept = {name: value for (name, kind), value in zip(kinds.items(), values, strict=True) if type(value) is kind}
    texts = {name: _bytes(value).decode(errors="replace") for name, value in kept.items() if isinstance(value, str)}
    return structs.replace(_EMPTY, **kept | texts | {"state": DAMAGED})


def _run_all(connection: sqlite3.Connection, script: str) -> None:
    """Run statements within one transaction, which ``executescript`` would end."""
    for statement in filter(str.strip, script.split(";")):
        connection.execute(statement)


def _checksum(values: tuple[object, ...]) -> int:
    return zlib.crc32(ascii(values).encode())


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _storable(value: object) -> object:
    """The same; what is no text as bytes, which show that the row is damaged."""
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        return _bytes(value)
    return value


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
