"""EXGATE_TRACE=1: every call of a hook on standard error, for authors of plugins."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pluggy

Hook = Callable[..., Coroutine[Any, Any, Any]]
_LONGEST = 300


def wanted() -> bool:
    """Whether hook calls are to be shown."""
    return os.environ.get("EXGATE_TRACE") == "1"


def trace_module(manager: pluggy.PluginManager, plugin: str) -> None:
    """Show the calls of a plugin's module, if that is wanted."""

    def before(hook: str, _: object, arguments: Mapping[str, object]) -> None:
        _show(plugin, hook, _called(arguments))

    def after(outcome: pluggy.Result[object], hook: str, _: object, __: object) -> None:
        _show(plugin, hook, f" -> {outcome.exception or outcome.get_result()!r}")

    if wanted():
        manager.add_hookcall_monitoring(before, after)


def trace_method(adapter: object, hook: str, call: Hook) -> Hook:
    """The same call, shown when it starts and when it ends, if that is wanted; else the call itself."""
    plugin = f"{type(adapter).__module__}.{type(adapter).__qualname__}"

    async def shown(**arguments: object) -> Any:
        _show(plugin, hook, _called(arguments))
        try:
            result = await call(**arguments)
        except BaseException as error:
            _show(plugin, hook, f" raised {error!r}")
            raise
        _show(plugin, hook, f" -> {result!r}")
        return result

    return shown if wanted() else call


def _called(arguments: Mapping[str, object]) -> str:
    return f"({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def _show(plugin: str, hook: str, what: str) -> None:
    text = f"{plugin}: {hook}{what}"
    sys.stderr.write(f"{text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}\n")
