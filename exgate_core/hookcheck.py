"""What is wrong with a plugin's hooks, found before anything of it runs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pluggy

from .strict import nearest

_project = pluggy.PluginManager("exgate")


class PluginError(Exception):
    """A plugin breaks a rule; the message says which, and where."""


def hooks_of(owner: object, spec: type, *, asynchronous: bool) -> Mapping[str, Mapping[str, Any]]:
    """The hooks that a module or class implements, with pluggy's options for each.

    Raises PluginError for an unknown name, an unknown argument, one with a default or keyword-only, a wrapper, a
    function that is async where it must not be or the reverse, and a hook's name that isn't marked as a hook.
    """
    known = {name: function for name, function in vars(spec).items() if hasattr(function, "exgate_spec")}
    found: dict[str, Mapping[str, Any]] = {}
    for name in dir(owner):
        options = _project.parse_hookimpl_opts(owner, name)
        place = f"{getattr(owner, '__qualname__', None) or getattr(owner, '__name__', '')}.{name}"
        if options is not None:
            hook = options.get("specname") or name
            _check_name(place, hook, known)
            _check_kind(place, getattr(owner, name), options, asynchronous)
            _check_arguments(place, getattr(owner, name), known[hook], method=isinstance(owner, type))
            found[hook] = options
        elif name in known and inspect.isroutine(getattr(owner, name)):
            raise PluginError(f"{place} isn't marked with @hookimpl")
    return found


def check_class(owner: type) -> None:
    """Raise PluginError where the class can't be made from one argument, the context."""
    try:
        inspect.signature(owner).bind(object())
    except TypeError as error:
        raise PluginError(f"{owner.__qualname__}(context) can't be called: {error}") from None
    except ValueError:
        return


def _check_name(place: str, hook: str, known: Mapping[str, object]) -> None:
    if hook not in known:
        near = nearest(hook, known)
        raise PluginError(f"{place}: there is no such hook; " + (f"did you mean {near}?" if near else _choices(known)))


def _check_kind(place: str, function: object, options: Mapping[str, Any], asynchronous: bool) -> None:
    if options["wrapper"] or options["hookwrapper"]:
        raise PluginError(f"{place} is a pluggy wrapper; put code around operations with wrap_operation")
    if options["tryfirst"]:
        raise PluginError(f"{place} is marked tryfirst; no plugin puts itself before others")
    if inspect.iscoroutinefunction(function) != asynchronous:
        raise PluginError(f"{place} must be {'async' if asynchronous else 'a plain function, not async'}")


def _check_arguments(place: str, function: Any, spec: Any, *, method: bool) -> None:
    allowed = list(inspect.signature(spec).parameters)[1:]
    parameters = list(inspect.signature(function).parameters.values())
    static = method and parameters and parameters[0].name in allowed
    for parameter in parameters[1:] if method and not static else parameters:
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise PluginError(f"{place}: {parameter} can't be an argument of a hook: plain names only")
        if parameter.default is not inspect.Parameter.empty:
            raise PluginError(f"{place}: {parameter.name} must have no default: pluggy would never fill it")
        if parameter.name not in allowed:
            raise PluginError(f"{place}: unknown argument {parameter.name}; {_choices(allowed)}")


def _choices(names: Any) -> str:
    return f"known here: {', '.join(names) or 'none'}"
