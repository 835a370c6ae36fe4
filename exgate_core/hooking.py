"""Which adapter serves which operation: decided once, by pluggy's order, when an exchange or account opens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pluggy

from .tracing import Hook, trace_method

__all__ = ["Hook", "compose", "entered", "hook_names"]


def compose(spec: type, adapters: Sequence[object]) -> Mapping[str, tuple[object, Hook]]:
    """For each hook of ``spec`` that somebody has: the adapter that serves it and how to call it by keywords.

    ``adapters`` are the best first. Each side has a plugin manager of its own, because a hook call that returns a
    coroutine always stops at the first adapter: the choice is static, so it is made here.
    """
    manager = pluggy.PluginManager("exgate")
    manager.add_hookspecs(spec)
    for adapter in reversed(adapters):
        manager.register(adapter)
    manager.check_pending()
    chosen: dict[str, tuple[object, Hook]] = {}
    for name in hook_names(spec):
        implementations = getattr(manager.hook, name).get_hookimpls()
        if implementations:
            best = implementations[-1]
            call = _caller(best.function, frozenset(best.argnames))
            chosen[name] = best.plugin, trace_method(best.plugin, name, call)
    return chosen


@asynccontextmanager
async def entered(adapter: object) -> AsyncIterator[None]:
    """An adapter with something to open and close: open inside the block; any other: as it is."""
    if isinstance(adapter, AbstractAsyncContextManager):
        async with adapter:
            yield
    else:
        yield


def hook_names(spec: type) -> list[str]:
    """The hooks that a class of specifications has."""
    return [name for name, value in vars(spec).items() if getattr(value, "exgate_spec", None)]


def _caller(function: Hook, wanted: frozenset[str]) -> Hook:
    def call(**arguments: object) -> Coroutine[Any, Any, Any]:
        return function(**{name: value for name, value in arguments.items() if name in wanted})

    return call
