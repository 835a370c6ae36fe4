"""One TOML file and the command line -> frozen settings. Nothing in here opens or connects to anything."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

from msgspec import Meta, Struct
from msgspec.structs import fields, replace

from .secrets import Credentials, Secret, SettingsError
from .strict import at, convert, nearest, unknown_key

__all__ = [
    "Credentials",
    "Local",
    "Orders",
    "Plugins",
    "Secret",
    "Section",
    "Server",
    "Settings",
    "SettingsError",
    "find_file",
    "is_loopback",
    "journal_path",
    "load",
    "plugin_settings",
    "plugins_file",
    "state_dir",
]

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
"""What an exchange, and a section of settings, may be called."""

_log = logging.getLogger("exgate.settings")
_MISSPELT = 0.85

T = TypeVar("T", bound=Struct)
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Deadline = Annotated[float, Meta(gt=0, le=3_600)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class Server(Struct, frozen=True, kw_only=True):
    """``[server]``: where the gateway listens and how much it takes on."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    """0 = any free port."""
    uds: str = ""
    """The path of a Unix socket, instead of a port."""
    root_path: str = ""
    """Served below this path, behind a proxy."""
    tls: str = ""
    """``CERTIFICATE.pem:KEY.pem``, or ``at-proxy``: a proxy in front does it."""
    allowed_hosts: tuple[str, ...] = ()
    """Names besides the loopback ones that a Host header may hold."""
    caller_keys: Literal["trade", "read", "off"] | None = None
    """What requests that bring their own keys may do; None = ``trade`` on loopback, else ``off``."""
    state_dir: str = ""
    """Journal, token, what exchanges keep, market cache; empty = the user's state folder."""
    deadline: Deadline = 10.0
    """Seconds that a request may take."""
    graceful_timeout: Seconds = 20.0
    """Seconds that a stop waits for what is under way."""
    watchdog: Seconds = 30.0
    """Seconds after which a process whose event loop is held ends itself; 0 = never."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Secrets are struck out at every level."""
    max_connections: Count = 1000
    max_streams: Count = 2000


class Local(Struct, frozen=True, kw_only=True):
    """``[local]``: answers from copies in memory."""

    tolerate_interval: Seconds = 5.0
    """How old, in seconds, a copy may be where the caller doesn't say; 0 = never local."""
    idle_stop: Seconds = 60.0
    """Seconds after which a feed without pin or reader stops."""


class Plugins(Struct, frozen=True, kw_only=True):
    """``[plugins]``: which installed plugins are loaded."""

    load: Literal["all"] | tuple[str, ...] = "all"
    """``all``, or the distributions to load; of others no line of code runs."""


class Orders(Struct, frozen=True, kw_only=True):
    """``[orders]``: how long the gateway looks for what became of an order."""

    deadline: Deadline = 8.0
    """Seconds for one order or cancel, with the search after a lost answer."""
    reconcile_deadline: Deadline = 30.0
    """Seconds that undecided orders of an earlier run may take at start."""


class Section(Struct, frozen=True, kw_only=True):
    """``[exchanges.NAME]``: one name of the API."""

    exchange: str = ""
    """Which exchange; in the file absent = the section's name."""
    plugin: str = ""
    """The distribution that gets the credentials; needed where more than one installed plugin offers the exchange."""
    account: str = ""
    """``paper`` = a paper account over this exchange's market data."""
    api_key: Secret | None = None
    api_secret: Secret | None = None
    passphrase: Secret | None = None
    trading: bool = False
    """Real orders only where this is true."""
    accept_unrecoverable: bool = False
    """Trade although lost orders can't be found again on this exchange."""
    pull: tuple[str, ...] = ()
    """Markets whose streams run from the start."""
    upstream_prefix: str = ""
    """Put before every upstream address: ``http://127.0.0.1:9443/``."""
    proxy: str = ""
    """The address of an HTTP proxy (CONNECT)."""
    sandbox: bool = False
    settle: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    """Seconds after which "not found" proves that an order never arrived; None = as the adapter says."""
    extra: dict[str, Any] = {}
    """Further keys: the plugin's own, see ``plugin_settings``."""

    @property
    def credentials(self) -> Credentials | None:
        """The keys of this section, not fetched yet; None if it has none."""
        if self.api_key is None or self.api_secret is None:
            return None
        return Credentials(self.api_key, self.api_secret, self.passphrase)

    @property
    def exposed_prefix(self) -> bool:
        """Whether requests would cross a network in plain text: no credentials may go there, whoever brings them."""
        address = urlsplit(self.upstream_prefix)
        return bool(self.upstream_prefix) and address.scheme != "https" and not is_loopback(address.hostname or "")


SECTION_KEYS = frozenset(field.name for field in fields(Section)) - {"extra"}
"""The keys of a section that are ExGate's own."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything a gateway is told."""

    server: Server = Server()
    local: Local = Local()
    plugins: Plugins = Plugins()
    orders: Orders = Orders()
    exchanges: Mapping[str, Section] = {}
    path: Path | None = None
    """The file that was read."""


def find_file(explicit: Path | None) -> Path | None:
    """The settings file: ``--config``, ``EXGATE_CONFIG``, ``./exgate.toml``, the user's; None if there is none.

    Raises SettingsError if the one named by the option or the variable isn't there.
    """
    named = explicit or (Path(text) if (text := os.environ.get("EXGATE_CONFIG")) else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError(f"{named}: there is no such file" + ("" if explicit else " (EXGATE_CONFIG)"))
        return named
    folder = _user_folder("XDG_CONFIG_HOME", ".config")
    return next((path for path in (Path("exgate.toml"), folder / "exgate.toml") if path.is_file()), None)


def plugins_file(explicit: Path | None) -> Path:
    """Where the list of wanted plugins stands, if there is one: beside the settings file that is in use, or where the
    user's own would be. Raises SettingsError like ``find_file``."""
    found = find_file(explicit)
    folder = found.resolve().parent if found else _user_folder("XDG_CONFIG_HOME", ".config")
    return folder / "plugins.txt"


def state_dir(settings: Settings) -> Path:
    """Where the gateway keeps its journal, token and market cache; it need not exist yet."""
    named = settings.server.state_dir
    return Path(named).expanduser() if named else _user_folder("XDG_STATE_HOME", ".local/state")


def journal_path(settings: Settings) -> Path:
    """The file of the journal of orders; it need not exist yet."""
    return state_dir(settings) / "orders.db"


def load(path: Path | None, overrides: Sequence[str] = (), *, warn: bool = True) -> Settings:
    """The settings of a file (None = all defaults), changed by overrides like ``server.port=9000``.

    The value of an override is TOML, or plain text where it is no TOML. ``warn``: what can be used and had better be
    otherwise is logged. Raises SettingsError.
    """
    data = _read(path) if path else {}
    overridden = [_override(data, text) for text in overrides]
    return _Loader(str(path or ""), overridden, warn).settings(data, path)


def plugin_settings(
    settings: Settings, name: str, struct: type[T] | None, beside: Iterable[type[Struct] | None] = ()
) -> T | None:
    """The further keys of a section as the plugin's own Struct, defaults where there is no section.

    ``beside`` are the Structs of other plugins that offer the same exchange: their keys are left to them. None for a
    plugin without a Struct. Raises SettingsError as ``load`` does.
    """
    extra = settings.exchanges[name].extra if name in settings.exchanges else {}
    own, others = _names(struct), frozenset[str]().union(*map(_names, beside))
    for key in extra:
        if key not in own | others:
            known = own | others | SECTION_KEYS
            raise unknown_key(lambda _: str(settings.path or ""), f"exchanges.{name}.{key}", known)
    mine = {key: value for key, value in extra.items() if key in own}
    return convert(mine, struct, lambda _: str(settings.path or ""), f"exchanges.{name}") if struct else None


def _names(struct: type | None) -> frozenset[str]:
    return frozenset(field.encode_name for field in fields(struct)) if struct else frozenset()


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class _Loader:
    """One load: knows where each key came from."""

    def __init__(self, file: str, overridden: Sequence[str], warn: bool) -> None:
        self._file, self._overridden, self._warn = file, overridden, warn

    def settings(self, data: Mapping[str, Any], path: Path | None) -> Settings:
        known = {field.name for field in fields(Settings)} - {"path"}
        for key in data:
            if key not in known:
                raise unknown_key(self._origin, key, known)
        sections = self._table(data.get("exchanges", {}), "exchanges")
        settings = Settings(
            server=self._convert(data.get("server", {}), Server, "server"),
            local=self._convert(data.get("local", {}), Local, "local"),
            plugins=self._convert(data.get("plugins", {}), Plugins, "plugins"),
            orders=self._convert(data.get("orders", {}), Orders, "orders"),
            exchanges={name: self._section(name, table) for name, table in sections.items()},
            path=path,
        )
        self._check_server(settings.server)
        return settings

    def _section(self, name: str, data: object) -> Section:
        path = f"exchanges.{name}"
        table = self._table(data, path)
        own = {key: value for key, value in table.items() if key in SECTION_KEYS}
        section = self._convert({"exchange": name, **own}, Section, path)
        extra = {key: value for key, value in table.items() if key not in SECTION_KEYS}
        for key in extra:
            # so near a name is no plugin's own key: told here, where no plugin needs to be there to know better
            if nearest(key, SECTION_KEYS, _MISSPELT):
                raise unknown_key(self._origin, f"{path}.{key}", SECTION_KEYS)
        section = replace(section, extra=extra, upstream_prefix=_with_slash(section.upstream_prefix))
        for place, named in ((path, name), (f"{path}.exchange", section.exchange)):
            if not NAME.fullmatch(named):
                self._fail(place, f"a name is made of a-z, 0-9, _ and -, at most 32 of them; got {named[:40]!r}")
        for key in ("api_key", "api_secret", "passphrase"):
            if self._warn and isinstance(table.get(key), str):
                origin = at(self._origin(f"{path}.{key}"), f"{path}.{key}")
                _log.warning('%s: a secret in plain text; better { env = "NAME" } or { file = "PATH" }', origin)
        self._check_section(section, path)
        return section

    def _check_section(self, section: Section, path: str) -> None:
        if (section.api_key is None) != (section.api_secret is None):
            self._fail(path, "api_key and api_secret are needed together")
        if section.passphrase is not None and section.api_key is None:
            self._fail(f"{path}.passphrase", "a passphrase needs api_key and api_secret")
        if section.api_key is not None and section.account == "paper":
            self._fail(path, "a paper account takes no keys: it never signs anything")
        if section.upstream_prefix and urlsplit(section.upstream_prefix).scheme not in ("http", "https"):
            self._fail(f"{path}.upstream_prefix", "expected an address that begins with http:// or https://")
        if section.proxy and not re.match("https?://[^/]", section.proxy):
            self._fail(f"{path}.proxy", "expected the address of an HTTP proxy, such as http://127.0.0.1:3128")
        if section.api_key is not None and section.exposed_prefix:
            self._fail(f"{path}.upstream_prefix", "credentials would cross the network in plain text; use https://")

    def _check_server(self, server: Server) -> None:
        if server.root_path and (not server.root_path.startswith("/") or server.root_path.endswith("/")):
            self._fail("server.root_path", 'expected a path like "/api": with a slash in front and none behind')
        if 0 < server.watchdog < 1:
            self._fail("server.watchdog", "expected 0, which turns it off, or at least 1 second")
        if server.tls not in ("", "at-proxy") and not re.fullmatch(r"[^:]+:[^:]+", server.tls):
            self._fail("server.tls", 'expected "CERTIFICATE.pem:KEY.pem" or "at-proxy"')
        if not server.uds and not server.tls and not is_loopback(server.host):
            message = 'needs TLS: server.tls = "CERTIFICATE.pem:KEY.pem", or "at-proxy" if a proxy in front does it'
            self._fail("server.host", f"{server.host} can be reached from other machines and {message}")

    def _convert(self, data: object, kind: type[T], path: str) -> T:
        return convert(self._table(data, path), kind, self._origin, path)

    def _table(self, data: object, path: str) -> Mapping[str, Any]:
        if not isinstance(data, dict):
            self._fail(path, f"expected a table, got {type(data).__name__}")
        return data

    def _fail(self, path: str, what: str) -> NoReturn:
        raise SettingsError(at(self._origin(path), path, what))

    def _origin(self, path: str) -> str:
        set_by = (key for key in self._overridden if path == key or path.startswith((f"{key}.", f"{key}[")))
        return next((f"-s {key}" for key in set_by), self._file)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None


def _override(data: dict[str, Any], text: str) -> str:
    """Put one override into the data and return the key that it set. Its value is shown nowhere: it may be a secret."""
    key, equals, value = text.partition("=")
    try:
        place: Any = tomllib.loads(f"{key} = 0")
        change = _toml(key, value)
    except tomllib.TOMLDecodeError:
        place = 0
    if not equals or not isinstance(place, dict) or len(change) != 1:
        raise SettingsError(f"-s {key.partition(' ')[0]}: expected KEY=VALUE, for instance server.port=9000")
    path: list[str] = []
    target: Any = data
    while isinstance(place, dict):
        [(name, place)] = place.items()
        change = change[name]
        path.append(name)
        if isinstance(place, dict):
            target = target.setdefault(name, {})
        if not isinstance(target, dict):
            raise SettingsError(f"-s {key}: {'.'.join(path)} is no table")
    target[path[-1]] = change
    return ".".join(path)


def _toml(key: str, value: str) -> Any:
    try:
        return tomllib.loads(f"{key} = {value}")
    except tomllib.TOMLDecodeError:
        return tomllib.loads(f"{key} = {json.dumps(value)}")


def _user_folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default) / "exgate"


def _with_slash(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith("/") else prefix + "/"
