"""ccxt without what isn't used: importing it whole takes half a second and 75 MB for a hundred classes, three times.

In the place of its three packages stand ones that import a class when it is asked for by name, as
``ccxt.async_support.kraken``. Whatever else they are asked for makes them what they would have been: then the
package's own code runs, so that other code in the process that uses ccxt finds all of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Mapping
from types import ModuleType
from typing import Any

__all__ = ["install"]

_PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")
_LOCK = threading.RLock()


def install() -> None:
    """Put the slim packages in place; nothing happens if somebody has imported ccxt before."""
    with _LOCK:
        if "ccxt" in sys.modules:
            return
        for name in _PACKAGES:
            spec = importlib.util.find_spec(name)
            if spec is None or not spec.submodule_search_locations:
                raise ImportError(f"{name} is not installed")
            slim = importlib.util.module_from_spec(spec)
            slim.__class__ = _Slim
            sys.modules[name] = slim
            if "." in name:
                setattr(sys.modules["ccxt"], name.partition(".")[2], slim)
        _fill(sys.modules["ccxt"])


def _fill(package: ModuleType) -> None:
    """What ccxt's own modules take from ``ccxt`` itself."""
    errors = importlib.import_module("ccxt.base.errors")
    for name in errors.__all__:
        setattr(package, name, getattr(errors, name))
    package.Exchange = importlib.import_module("ccxt.base.exchange").Exchange  # type: ignore[attr-defined]


class _Slim(ModuleType):
    """A package that imports its parts when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        with _LOCK:
            if importlib.util.find_spec(f"{self.__name__}.{name}") is not None:
                importlib.import_module(f"{self.__name__}.{name}")
            elif self.__class__ is _Slim:
                self._become_whole()
            known: Mapping[str, Any] = self.__dict__
            if name in known:
                return known[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        # the import system puts each submodule here, and ccxt's own code then the class of that name in its place
        if isinstance(value, ModuleType) and isinstance(value.__dict__.get(name), type):
            value = value.__dict__[name]
        super().__setattr__(name, value)

    def _become_whole(self) -> None:
        object.__setattr__(self, "__class__", ModuleType)
        assert self.__spec__ is not None and self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
