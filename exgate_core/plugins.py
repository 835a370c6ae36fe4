"""Installed plugins -> a catalogue of classes: who offers which exchange. It opens nothing and connects to nothing."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Literal

import pluggy
from msgspec import Struct

from .errors import FailedPrecondition, NotFound
from .hookcheck import PluginError, hooks_of
from .hookspecs import EXGATE_API, ModuleHooks, Wrapper
from .offers import Offer, Registrar
from .settings import Section
from .strict import ALIKE, nearest
from .tracing import trace_module

__all__ = ["GROUP", "Catalogue", "Offer", "PluginReport", "canonical", "load_catalogue"]

GROUP = "exgate"
"""The entry-point group of plugins."""


class PluginReport(Struct, frozen=True, kw_only=True):
    """What became of one plugin."""

    package: str
    version: str
    serves: Mapping[str, frozenset[str]] = {}
    """Exchange -> operations."""
    wraps: bool = False
    """Puts code around operations."""
    refused: str = ""
    """Why it isn't used at all; empty if it is."""
    clash: str = ""
    """Which of its exchanges another plugin offers just as well, so that a section has to name one."""


class Catalogue:
    """Everything that the installed plugins offer, and what is wrong with which; made by ``load_catalogue``."""

    def __init__(self, plugins: Sequence[_Plugin]) -> None:
        offers = sorted((offer for plugin in plugins for offer in plugin.offers), key=_rank)
        self.offers: Mapping[str, tuple[Offer, ...]] = {
            name: tuple(offer for offer in offers if offer.name == name)
            for name in sorted({offer.name for offer in offers})
        }
        """Exchange -> its offers, best first."""
        self._wrapping = sorted((plugin for plugin in plugins if plugin.wraps), key=lambda plugin: plugin.order)
        self.reports: tuple[PluginReport, ...] = tuple(_report(plugin, self._clash(plugin)) for plugin in plugins)
        """One for each plugin found, and for each that was asked for and isn't there."""

    def wrappers(self, exchange: str, operation: str) -> tuple[Wrapper, ...]:
        """The plugins' wrappers around an operation, outermost first.

        Raises FailedPrecondition if a plugin fails to make its own: an operation is never served without it.
        """
        made = (_wrapper(plugin, exchange, operation) for plugin in self._wrapping)
        return tuple(wrapper for wrapper in made if wrapper is not None)

    def public(self, name: str, plugin: str = "") -> tuple[Offer, ...]:
        """The offers whose adapters serve an exchange together, best first; only one plugin's if it is named.

        Raises NotFound, and FailedPrecondition where nothing says which of two to take.
        """
        offers = [offer for offer in self.offers.get(name, ()) if offer.exchange is not None]
        if plugin:
            offers = [offer for offer in offers if _same(offer.distribution, plugin)]
        if not offers:
            raise self._absent(name, plugin)
        if len(offers) > 1 and offers[0].trylast == offers[1].trylast:
            raise _ambiguous(name, name, [offer for offer in offers if offer.trylast == offers[0].trylast])
        return tuple(offers)

    def private(self, section_name: str, section: Section) -> Offer:
        """The one offer that gets a section's credentials, or makes its paper account.

        Raises FailedPrecondition with the line to write where the section names no plugin and more than one has an
        account for the exchange: credentials never move because something was installed.
        """
        name = section.account or section.exchange
        plugin = "" if section.account else section.plugin
        offers = [offer for offer in self.offers.get(name, ()) if offer.account is not None]
        if plugin:
            offers = [offer for offer in offers if _same(offer.distribution, plugin)]
        if not offers:
            raise self._absent(name, plugin, " with an account")
        if len(offers) > 1:
            raise _ambiguous(name, section_name, offers)
        return offers[0]

    def beside(self, section: Section) -> tuple[Offer, ...]:
        """Every offer for the exchange of a section and for its account."""
        return (*self.offers.get(section.exchange, ()), *self.offers.get(section.account, ()))

    def _absent(self, name: str, plugin: str, what: str = "") -> NotFound | FailedPrecondition:
        if plugin:
            refused = next((report.refused for report in self.reports if _same(report.package, plugin)), "")
            reason = f"it was refused: {refused}" if refused else "see `exgate plugins`"
            return FailedPrecondition(f"{plugin} offers no exchange {name}{what}; {reason}", reason="NO_PLUGIN")
        near = nearest(name, self.offers, ALIKE)
        hint = f"did you mean {near}?" if near and near != name else "install its plugin; `exgate plugins` lists them"
        return NotFound(f"no installed plugin offers an exchange {name}{what}; {hint}", reason="NO_EXCHANGE")

    def _clash(self, plugin: _Plugin) -> str:
        said = []
        for offer in plugin.offers:
            rivals = [
                other for other in self.offers[offer.name] if other.trylast == offer.trylast and other is not offer
            ]
            if rivals:
                names = ", ".join(f"{rival.distribution} {rival.version}".strip() for rival in rivals)
                said.append(f"{offer.name} is offered by {names} too; name one as plugin in [exchanges.{offer.name}]")
        return "; ".join(said)


class _Plugin:
    """One plugin on its way into the catalogue."""

    def __init__(self, distribution: str, version: str, load: Callable[[], object]) -> None:
        self.distribution, self.version, self._load = distribution, version, load
        self.offers: list[Offer] = []
        self.wraps, self.trylast = False, False
        self.refused = ""
        self.manager = pluggy.PluginManager("exgate")

    @property
    def order(self) -> tuple[bool, str]:
        return self.trylast, self.distribution

    def open(self, budget: float) -> None:
        """Import and ask the plugin in a thread of its own; what isn't done within ``budget`` seconds is ignored."""
        done: list[tuple[list[Offer], bool, bool] | str] = []
        thread = threading.Thread(target=lambda: done.append(self._try()), name=self.distribution, daemon=True)
        thread.start()
        thread.join(budget)
        if not done:
            self.refused = f"it did not load within {budget:g} s"
        elif isinstance(done[0], str):
            self.refused = done[0]
        else:
            self.offers, self.wraps, self.trylast = done[0]

    def _try(self) -> tuple[list[Offer], bool, bool] | str:
        try:
            return self._ask(self._load())
        except PluginError as error:
            return str(error)
        except BaseException as error:  # whatever foreign code does at import, SystemExit too, is its own failure
            return " ".join(f"{type(error).__name__}: {error}".split())[:300]

    def _ask(self, module: object) -> tuple[list[Offer], bool, bool]:
        if not isinstance(module, ModuleType):
            raise PluginError(f"its entry point names a {type(module).__name__}; it must name a module")
        _check_api(module)
        hooks = hooks_of(module, ModuleHooks, asynchronous=False)
        if not hooks:
            raise PluginError(f"{module.__name__} implements neither register_exchanges nor wrap_operation")
        self.manager.add_hookspecs(ModuleHooks)
        self.manager.register(module)
        trace_module(self.manager, self.distribution)
        registrar = Registrar(self.distribution, self.version, module.__name__)
        self.manager.hook.register_exchanges(register=registrar)
        wraps = hooks.get("wrap_operation")
        return registrar.offers, wraps is not None, bool(wraps and wraps["trylast"])


def load_catalogue(
    load: Literal["all"] | Sequence[str] = "all", plugins_dir: Path | None = None, *, budget: float = 10.0
) -> Catalogue:
    """Load the installed plugins one by one, all or those of the distributions listed, and a folder's one-file plugins.

    Of distributions that aren't listed nothing is imported. No failure of a plugin reaches the caller: it is in the
    catalogue's reports. ``budget`` is the seconds that each plugin has.
    """
    wanted = None if load == "all" else {canonical(name): name for name in load}
    found = [plugin for plugin in _installed() if wanted is None or canonical(plugin.distribution) in wanted]
    found += _files(plugins_dir)
    for plugin in found:
        plugin.open(budget)
    present = {canonical(plugin.distribution) for plugin in found}
    for name in sorted((wanted or {}).keys() - present):
        absent = _Plugin((wanted or {})[name], "", lambda: None)
        absent.refused = "it is listed in plugins.load and not installed, or has no entry point in the group exgate"
        found.append(absent)
    return Catalogue(found)


def _installed() -> Iterator[_Plugin]:
    points = metadata.entry_points(group=GROUP)
    found = sorted(((_described(point), point) for point in points), key=lambda item: (item[0], item[1].value))
    for (distribution, version), point in found:
        yield _Plugin(distribution, version, point.load)


def _described(point: metadata.EntryPoint) -> tuple[str, str]:
    """Name and version of an entry point's distribution, as far as its metadata can be read."""
    try:
        return (point.dist.name or point.name, point.dist.version or "") if point.dist else (point.name, "")
    except Exception:  # a damaged METADATA file raises different things in different Pythons
        return point.name, ""


def _files(folder: Path | None) -> Iterator[_Plugin]:
    for path in sorted(folder.glob("*.py")) if folder else ():
        if not path.name.startswith("_"):
            yield _Plugin(path.name, "", functools.partial(_load_file, path))


def _load_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"exgate_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _check_api(module: ModuleType) -> None:
    stated = getattr(module, "EXGATE_API", None)
    if stated is None:
        raise PluginError(f"{module.__name__} doesn't say for which hooks it was written: EXGATE_API = {EXGATE_API}")
    if stated != EXGATE_API:
        newer = isinstance(stated, int) and stated > EXGATE_API
        advice = "upgrade exgate" if newer else "upgrade the plugin"
        raise PluginError(f"{module.__name__} was written for EXGATE_API = {stated!r}; this is {EXGATE_API}: {advice}")


def _wrapper(plugin: _Plugin, exchange: str, operation: str) -> Wrapper | None:
    try:
        made = plugin.manager.hook.wrap_operation(exchange=exchange, operation=operation)
    except Exception as error:
        what = f"failed with {type(error).__name__}: {error}"
    else:
        if not made:
            return None
        if inspect.iscoroutinefunction(made[0]) or inspect.iscoroutinefunction(type(made[0]).__call__):
            wrapper: Wrapper = made[0]
            return wrapper
        what = f"returned {made[0]!r}, which isn't an async function"
    message = f"wrap_operation of {plugin.distribution} for {operation} of {exchange} {what}"
    raise FailedPrecondition(message, reason="WRAPPER_FAILED")


def _report(plugin: _Plugin, clash: str) -> PluginReport:
    return PluginReport(
        package=plugin.distribution,
        version=plugin.version,
        serves={offer.name: offer.operations for offer in plugin.offers},
        wraps=plugin.wraps,
        refused=plugin.refused,
        clash=clash,
    )


def _ambiguous(name: str, section: str, offers: Sequence[Offer]) -> FailedPrecondition:
    names = [offer.distribution for offer in offers]
    lines = " or ".join(f'plugin = "{distribution}"' for distribution in names)
    return FailedPrecondition(
        f"{name} is offered by {' and '.join(names)}; write into [exchanges.{section}]: {lines}",
        reason="AMBIGUOUS_PLUGIN",
        metadata={"plugins": ",".join(names)},
    )


def _rank(offer: Offer) -> tuple[str, bool, str]:
    return offer.name, offer.trylast, offer.distribution


def _same(distribution: str, other: str) -> bool:
    return canonical(distribution) == canonical(other)


def canonical(distribution: str) -> str:
    """A distribution's name as it is compared: case and the kind of dashes make no difference."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
