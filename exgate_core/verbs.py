"""What every verb of the command line shares: its options, whom it asks, how it answers, its exit code."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .errors import ExGateError, NotSent, OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from .remote import Door, Params, Reply
    from .settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

USAGE = 2
"""The exit code of a wrong command line, or of wrong settings."""
OUTCOME_UNKNOWN = 6
"""The exit code of an order or a cancel that may have been sent."""
NOT_READ = 141
"""The exit code where nobody reads the output any more, as a shell gives it."""
_EXIT_CODES = {1: 5, 3: 3, 4: 5, 5: 4, 6: 3, 7: 7, 8: 5, 9: 3, 10: 5, 11: 3, 12: 3, 14: 5, 16: 7}


def exit_code(error: ExGateError) -> int:
    """The exit code that stands for an error."""
    from .secrets import SettingsError

    if isinstance(error, SettingsError):
        return USAGE
    if isinstance(error, OutcomeUnknown) or error.metadata.get("outcome") == "unknown":
        return OUTCOME_UNKNOWN
    return _EXIT_CODES.get(error.code, 1)


def complain(reason: str, message: str) -> None:
    """Say on stderr what went wrong."""
    shown = message if not reason or message.startswith(reason) else f"{reason}: {message}"
    click.echo(f"exgate: {shown}", err=True)


def say(text: str) -> None:
    """Print one answer. Ends the verb where nobody reads it any more (``exgate ... | head``)."""
    try:
        click.echo(text)
        if sys.stdout is not None:  # it may be closed
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end: that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(NOT_READ) from None


@dataclass
class Options:
    """What the options that every verb takes were set to."""

    config: Path | None = None
    overrides: list[str] = field(default_factory=list)
    json: bool = False
    url: str = ""
    plugins_dir: Path | None = None

    def settings(self, *, warn: bool = False) -> Settings:
        """The settings of this call. Raises SettingsError. What they are only warned of is said where ``warn`` is set,
        not by each verb that asks a gateway."""
        from . import settings

        return settings.load(settings.find_file(self.config), self.overrides, warn=warn)

    def running(self) -> Door:
        """The gateway that runs at ``--url``, or where the settings say."""
        from . import remote, settings

        if self.url and not remote.is_address(self.url):
            raise click.UsageError(f"--url wants an address like http://127.0.0.1:8000, not {self.url!r}")
        loaded = self.settings()
        return remote.Remote(remote.target_of(loaded, self.url, settings.state_dir(loaded)))

    def here(self, exchange: str) -> Door:
        """A gateway in this process, for the public data of one exchange."""
        from .oneshot import Oneshot

        return Oneshot(self.settings(), self.plugins_dir, exchange)

    def private(self, path: str, params: Params = ()) -> Reply:
        """Ask the running gateway."""
        return ask(self.running(), path, params)

    def public(self, exchange: str, path: str, params: Params = ()) -> Reply:
        """Ask the running gateway; where none runs, one in this process."""
        try:
            return self.private(path, params)
        except NotSent:
            if self.url:
                raise
        return ask(self.here(exchange), path, params)

    def change(self, path: str, body: dict[str, Any], key: str = "") -> Reply:
        """Send an order or a cancel once. Raises OutcomeUnknown wherever it isn't certain what became of it."""
        from .remote import error_of

        try:
            reply = self.running().call("POST", path, (), body, key)
        except OSError as error:
            raise OutcomeUnknown(f"the connection to the gateway was lost ({error}). It may have been sent.") from None
        if reply.status == 200:
            return reply
        failure = error_of(reply)
        if "outcome" not in failure.metadata:
            raise OutcomeUnknown(f"{failure.message} (no ExGate-Outcome: it may have been sent)", reason=failure.reason)
        raise failure

    def show(self, reply: Reply, render: Callable[[Any], str]) -> None:
        """Print an answer: as it came with ``--json``, else as a table."""
        say(reply.body.decode() if self.json else render(reply.json()))

    def show_dated(self, reply: Reply, render: Callable[[Any], str]) -> None:
        """The same for an answer that has an age: a table says below itself where it is from."""
        self.show(reply, render)
        if not self.json:
            symbol, source, age = (reply.headers.get(f"exgate-{name}", "?") for name in ("symbol", "source", "age"))
            say(f"{symbol}, from {source}, {age} s old")

    def print(self, value: Any, text: str) -> None:
        """Print what was made here: the value with ``--json``, else the text."""
        say(json.dumps(value, indent=2) if self.json else text)


def ask(door: Door, path: str, params: Params = ()) -> Reply:
    """One GET. Raises what a failed answer says."""
    from .remote import error_of

    try:
        reply = door.call("GET", path, params)
    except OSError as error:
        raise Unavailable(f"the connection to the gateway was lost ({error})") from None
    if reply.status != 200:
        raise error_of(reply)
    return reply


def new_key() -> str:
    """An Idempotency-Key for one order."""
    return f"cli-{uuid.uuid4().hex}"


def pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """``KEY=VALUE`` texts as a map. Raises click.UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise click.UsageError(f"expected KEY=VALUE, each key once, not {text!r}")
        found[name] = value
    return found


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    options = context.ensure_object(Options)
    if value and parameter.name == "overrides":
        options.overrides.extend(value)
    elif value:
        setattr(options, str(parameter.name), value)


def common(command: F) -> F:
    """The options that every verb takes, before it or after it."""
    for decorator in (
        _option("--json", is_flag=True, help="Print the JSON answer."),
        _option("--url", metavar="URL", help="Ask the gateway at this address."),
        _option("-s", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a setting: -s server.port=9000."),
        _option(
            "--plugins-dir", type=click.Path(path_type=Path, file_okay=False), help="A folder of one-file plugins."
        ),
        _option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings file."),
    ):
        command = decorator(command)
    return command


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_remember, **settings)
