"""Errors -> google.rpc.Status in the seed's form: each detail a protobuf message in base64."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping

from .errors import ExGateError, Violation
from .wire import Detail, ExtendedStatus, Status, encode

DOMAIN = "exgate"
"""The domain of every ErrorInfo."""
_TYPE = "type.googleapis.com/google.rpc."
_LONGEST_MESSAGE = 2000


def status_json(error: ExGateError, extended: bool = False) -> bytes:
    """The body of every answer that isn't a success; ``extended`` adds reason and metadata as plain JSON."""
    message = _message(error)
    if extended:
        return encode(ExtendedStatus(error.code, message, _details(error), error.reason, error.metadata))
    return encode(Status(error.code, message, _details(error)))


def _message(error: ExGateError) -> str:
    """REASON: what happened. The end says what was sent, so a text that is too long loses its middle."""
    text = error.message if error.message.startswith(f"{error.reason}: ") else f"{error.reason}: {error.message}"
    if len(text) <= _LONGEST_MESSAGE:
        return text
    return f"{text[: _LONGEST_MESSAGE // 2]} ... {text[-_LONGEST_MESSAGE // 2 + 5 :]}"


def _details(error: ExGateError) -> list[Detail]:
    details = [_any("ErrorInfo", error_info(error.reason, DOMAIN, error.metadata))]
    if error.retry_after is not None:
        details.append(_any("RetryInfo", retry_info(error.retry_after)))
    if error.violations:
        details.append(_any("BadRequest", bad_request(error.violations)))
    return details


def _any(name: str, message: bytes) -> Detail:
    return Detail(_TYPE + name, b64encode(message).decode())


def error_info(reason: str, domain: str, metadata: Mapping[str, str]) -> bytes:
    """google.rpc.ErrorInfo in protobuf's wire format."""
    entries = (_text(1, key) + _text(2, value) for key, value in metadata.items())
    return _text(1, reason) + _text(2, domain) + b"".join(_field(3, entry) for entry in entries)


def retry_info(seconds: float) -> bytes:
    """google.rpc.RetryInfo in protobuf's wire format; a negative delay is none."""
    whole, nanos = divmod(max(0, round(seconds * 1_000_000_000)), 1_000_000_000)
    return _field(1, _number(1, whole) + _number(2, nanos))


def bad_request(violations: Iterable[Violation]) -> bytes:
    """google.rpc.BadRequest in protobuf's wire format."""
    return b"".join(_field(1, _text(1, item.field) + _text(2, item.description)) for item in violations)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value) if value else b""


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _text(number: int, value: str) -> bytes:
    payload = value.encode("utf-8", "replace")
    return _field(number, payload) if payload else b""
