"""What may stand in the head of an HTTP/1 request: stricter than the parser, so that no proxy reads it differently."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_LINE = 8 * 1024
"""Bytes of the request line."""

MAX_FIELDS = 100
"""Header lines of a request."""

_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r]*)")
_CODING = re.compile(rb"\r\ntransfer-encoding[ \t]*:[ \t]*([^\r]*)")
_HOST = re.compile(rb"\r\nhost:[ \t]*([^\r]*)")
_DIGITS = re.compile(rb"[0-9]{1,15}")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)


class Fault(NamedTuple):
    """Why a head is refused."""

    status: int
    text: str


def fault(data: bytes) -> Fault | None:
    """What is wrong with the head at the start of ``data``; None if nothing, or if more bytes must come first."""
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[: end + 2]
    lines = head.count(b"\r\n")
    line_end = head.find(b"\r\n")
    if (len(head) if line_end < 0 else line_end) > MAX_LINE:
        return Fault(414, f"the request line is longer than {MAX_LINE} bytes")
    if lines > MAX_FIELDS + 1:
        return Fault(431, f"more than {MAX_FIELDS} header lines")
    if head.count(b"\n") != lines:
        return Fault(400, "a line ends without CR LF")
    if end < 0:
        return None
    if head.count(b"\r") != lines or b"\n " in head or b"\n\t" in head:
        return Fault(400, "a folded header line or a bare CR")
    return _bad_line(head, head[:line_end]) or _bad_framing(head.lower())


def origin_form(target: bytes) -> bytes:
    """The path and query of a request target in absolute form; others as they are."""
    match = _ABSOLUTE.match(target)
    if match is None:
        return target
    rest = target[match.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _bad_line(head: bytes, line: bytes) -> Fault | None:
    parts = line.split(b" ")
    if len(parts) != 3:
        return Fault(400, "the request line is not METHOD TARGET VERSION")
    method, target, version = parts
    if version not in (b"HTTP/1.1", b"HTTP/1.0") and line != b"PRI * HTTP/2.0":
        return Fault(400, "the HTTP version is not one of 1.0, 1.1 and 2")
    if target.startswith(b"/") or (target == b"*" and method in (b"OPTIONS", b"PRI")):
        return None
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return Fault(400, "the request target is not a path")
    host = _HOST.search(head.lower())
    if host is None or host[1].strip() != absolute[1].lower():
        return Fault(403, "the request target names another host")
    return None


def _bad_framing(head: bytes) -> Fault | None:
    if b"content-length" not in head and b"transfer-encoding" not in head:
        return None
    lengths, codings = _LENGTH.findall(head), _CODING.findall(head)
    if len(lengths) + len(codings) > 1:
        return Fault(400, "Content-Length or Transfer-Encoding more than once, or both")
    if lengths and not _DIGITS.fullmatch(lengths[0].strip()):
        return Fault(400, "Content-Length is not one number")
    if codings and (codings[0].strip() != b"chunked" or b" http/1.0\r\n" in head):
        return Fault(400, "Transfer-Encoding is not chunked, or the version is HTTP/1.0")
    if b"\r\nupgrade:" in head and b"websocket" in head and lengths != [b"0"]:
        return Fault(400, "a WebSocket handshake has no body")
    return None
