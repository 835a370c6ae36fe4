"""Secrets that never show: text that prints as ***, known by reference and fetched when first needed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from .errors import ExGateError

_KINDS = ("env", "file", "command")
_COMMAND_SECONDS = 30.0
_SHORTEST = 6
"""Shorter texts stand in logs by chance."""
_ALIVE: weakref.WeakSet[Secret] = weakref.WeakSet()
"""Every secret of the process, so that logs can be cleared of them."""


class SettingsError(ExGateError):
    """The settings can't be used; the message names the file, the key and, where one is near, the right name."""

    code, http, default_reason = 9, 400, "SETTINGS"


class Secret:
    """A secret text. It shows as ``***`` wherever it is printed, logged or formatted."""

    __slots__ = ("__weakref__", "_fetch", "_text", "runs")

    def __init__(self, text: str | Callable[[], str], *, runs: bool = False) -> None:
        _ALIVE.add(self)
        self.runs = runs
        """Whether a command prints it, which may take its time or ask somebody."""
        self._text = text if isinstance(text, str) else None
        self._fetch = None if isinstance(text, str) else text

    def reveal(self) -> str:
        """The text itself. The first call of a reference may block (a file, a command) and raise SettingsError."""
        if self._text is None:
            assert self._fetch is not None
            self._text = self._fetch()
        return self._text

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the text in hex: what the secret may be called anywhere else. Fetches it as ``reveal`` does."""
        return hashlib.sha256(self.reveal().encode()).hexdigest()

    def spellings(self) -> Iterator[str]:
        """In which forms the text could stand somewhere; nothing where nobody has fetched it yet."""
        lines = (self._text or "").splitlines()
        for line in (line for line in lines if len(line) >= _SHORTEST):
            yield line
            if quote(line, safe="") != line:
                yield quote(line, safe="")

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a secret is never pickled or copied")


def struck(text: str) -> str:
    """The text with ``***`` for every secret of this process that was revealed and stands in it, URL-encoded or not."""
    for secret in tuple(_ALIVE):
        for spelling in secret.spellings():
            text = text.replace(spelling, "***")
    return text


class Credentials(Struct, frozen=True):
    """What signs requests for one account."""

    api_key: Secret
    api_secret: Secret
    passphrase: Secret | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all parts: tells accounts apart without telling what is in them."""
        parts = (self.api_key, self.api_secret, *([self.passphrase] if self.passphrase else []))
        return hashlib.sha256("".join(part.fingerprint for part in parts).encode()).hexdigest()


def secret_of(value: object, where: str) -> Secret:
    """The secret that settings write as text or as one of ``{env = ..}``, ``{file = ..}``, ``{command = [..]}``.

    ``where`` names the settings in errors that come later. Raises ValueError for any other form.
    """
    if isinstance(value, str):
        return Secret(value)
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in _KINDS:
        raise ValueError('expected one of { env = "NAME" }, { file = "PATH" }, { command = ["PROGRAM", "ARGUMENT"] }')
    kind, reference = next(iter(value.items()))
    if kind == "command":
        if not isinstance(reference, list) or not reference or not all(isinstance(part, str) for part in reference):
            raise ValueError("command: expected a list of texts: the program and its arguments")
        return Secret(
            lambda: _checked(_from_command(reference, where), f"{where}: the command {reference[0]!r}"), runs=True
        )
    if not isinstance(reference, str) or not reference:
        raise ValueError(f"{kind}: expected a text")
    if kind == "env":
        named, fix = f"{where}: environment variable {reference}", "; set it for the process that runs exgate"
        return Secret(lambda: _checked(os.environ.get(reference, ""), named, fix))
    return Secret(lambda: _checked(_from_file(reference, where), f"{where}: the file {reference}"))


def _from_file(path: str, where: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8 text"
        raise SettingsError(f"{where}: the file {path} can't be read: {reason}; make it, or name another") from None


def _from_command(command: list[str], where: str) -> str:
    failed = f"{where}: the command {command[0]!r} "
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_SECONDS)
        text = done.stdout.decode("utf-8")
    except OSError as error:
        raise SettingsError(f"{failed}can't be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SettingsError(f"{failed}gave no answer within {_COMMAND_SECONDS:.0f} s") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{failed}gave no UTF-8 text") from None
    if done.returncode:
        raise SettingsError(f"{failed}ended with exit code {done.returncode}")
    return text


def _checked(text: str, source: str, fix: str = "") -> str:
    stripped = text.removesuffix("\n").removesuffix("\r")
    if not stripped:
        raise SettingsError(f"{source} is empty or not set{fix}")
    return stripped
