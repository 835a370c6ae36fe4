"""What a plugin offers, checked as it registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import fields

from .hookcheck import PluginError, check_class, hooks_of
from .hookspecs import AccountHooks, ExchangeHooks
from .models import AccountCapabilities, ExchangeCapabilities
from .settings import NAME, SECTION_KEYS

C = TypeVar("C", ExchangeCapabilities, AccountCapabilities)


class Offer(Struct, frozen=True, kw_only=True):
    """One plugin's classes for one exchange."""

    name: str
    distribution: str
    version: str
    module: str
    exchange: type | None
    account: type | None
    settings: type[Struct] | None
    exchange_capabilities: ExchangeCapabilities
    account_capabilities: AccountCapabilities
    operations: frozenset[str]
    """The hooks that the two classes implement."""
    trylast: bool
    """Serves only what no other plugin serves."""


class Registrar:
    """What ``register_exchanges`` is given; raises PluginError into it where a rule is broken."""

    def __init__(self, distribution: str, version: str, module: str) -> None:
        self._distribution, self._version, self._module = distribution, version, module
        self.offers: list[Offer] = []
        """What was registered so far."""
        self._hooks: dict[tuple[int, type], Mapping[str, Mapping[str, Any]]] = {}

    def __call__(
        self,
        name: str,
        *,
        exchange: type | None = None,
        account: type | None = None,
        settings: type | None = None,
        exchange_capabilities: ExchangeCapabilities | None = None,
        account_capabilities: AccountCapabilities | None = None,
    ) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise PluginError(f"register: an exchange can't be called {name!r}: a-z, 0-9, _ and -, at most 32")
        if any(offer.name == name for offer in self.offers):
            raise PluginError(f"register: {name} is registered twice")
        if exchange is None and account is None:
            raise PluginError(f"register: {name} has neither an exchange nor an account")
        hooks = {**self._hooks_of(exchange, ExchangeHooks), **self._hooks_of(account, AccountHooks)}
        self.offers.append(
            Offer(
                name=name,
                distribution=self._distribution,
                version=self._version,
                module=self._module,
                exchange=exchange,
                account=account,
                settings=_checked_settings(settings),
                exchange_capabilities=_stated(exchange_capabilities, exchange, ExchangeCapabilities),
                account_capabilities=_stated(account_capabilities, account, AccountCapabilities),
                operations=frozenset(hooks),
                trylast=all(options["trylast"] for options in hooks.values()),
            )
        )

    def _hooks_of(self, owner: object, spec: type) -> Mapping[str, Mapping[str, Any]]:
        """One class may serve a hundred exchanges: it is checked once."""
        if (id(owner), spec) not in self._hooks:
            self._hooks[id(owner), spec] = _class_hooks(owner, spec)
        return self._hooks[id(owner), spec]


def _class_hooks(owner: object, spec: type) -> Mapping[str, Mapping[str, Any]]:
    if owner is None:
        return {}
    if not isinstance(owner, type):
        raise PluginError(f"register: {owner!r} must be a class, not an instance")
    check_class(owner)
    hooks = hooks_of(owner, spec, asynchronous=True)
    if not hooks:
        raise PluginError(f"{owner.__qualname__} implements no hook of {spec.__name__}")
    return hooks


def _checked_settings(settings: object) -> type[Struct] | None:
    if settings is None:
        return None
    if not isinstance(settings, type) or not issubclass(settings, Struct):
        raise PluginError(f"register: settings must be a msgspec Struct class, not {settings!r}")
    taken = SECTION_KEYS & {field.encode_name for field in fields(settings)}
    if taken:
        raise PluginError(f"{settings.__qualname__}: ExGate itself has settings named {', '.join(sorted(taken))}")
    return settings


def _stated(given: C | None, owner: object, kind: type[C]) -> C:
    stated = given if given is not None else getattr(owner, "capabilities", None)
    if stated is None:
        return kind()
    if not isinstance(stated, kind):
        raise PluginError(f"capabilities must be an instance of {kind.__name__}, not {stated!r}")
    return stated
