"""ccxt's ``safe_*`` readers for numbers that keep their text.

ccxt 4.5.90 looks at the exact type: ``safe_string`` takes a ``float`` and finds nothing where a subclass of it stands,
so that a price which was parsed once is gone when it is read again. ``safe_integer`` goes by way of a float, which
changes integers above 2^53. And Python reads digits of any script as a number: here they are none, so that no time is
made of them by which trades would be sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .exact import Num

__all__ = ["READERS"]

_Reader = Callable[[Any, Any, Any], Any]
_MISSING = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)


def _string(dictionary: Any, key: Any, default: Any = None) -> Any:
    try:
        value = dictionary[key]
    except _MISSING:
        return default
    kind = type(value)
    if kind is str:
        return value or default
    return str(value) if kind is Num or kind is int or kind is float else default


def _lower(dictionary: Any, key: Any, default: Any = None) -> Any:
    found = _string(dictionary, key)
    return default if found is None else found.lower()


def _upper(dictionary: Any, key: Any, default: Any = None) -> Any:
    found = _string(dictionary, key)
    return default if found is None else found.upper()


def _float(dictionary: Any, key: Any, default: Any = None) -> Any:
    try:
        return Num(_western(dictionary[key]))
    except _MISSING:
        return default


def _integer(dictionary: Any, key: Any, default: Any = None) -> Any:
    try:
        value = _western(dictionary[key])
        if type(value) is int or (type(value) is str and value.isdecimal()):
            return int(value)
        return int(float(value))
    except _MISSING:
        return default


def _scaled(dictionary: Any, key: Any, factor: Any, default: Any = None) -> Any:
    try:
        return int(float(_western(dictionary[key])) * factor)
    except _MISSING:
        return default


def _scaled_second(dictionary: Any, key1: Any, key2: Any, factor: Any, default: Any = None) -> Any:
    found = _scaled(dictionary, key1, factor)
    return _scaled(dictionary, key2, factor, default) if found is None else found


def _timestamp(dictionary: Any, key: Any, default: Any = None) -> Any:
    return _scaled(dictionary, key, 1000, default)


def _western(value: Any) -> Any:
    """A value as it is. Raises ValueError for a text that may be a number in the digits of another script."""
    if type(value) is str and not value.isascii():
        raise ValueError("no number")
    return value


def _second(read: _Reader) -> Callable[..., Any]:
    def reader(dictionary: Any, key1: Any, key2: Any, default: Any = None) -> Any:
        found = read(dictionary, key1, None)
        return read(dictionary, key2, default) if found is None else found

    return reader


def _any(read: _Reader) -> Callable[..., Any]:
    def reader(dictionary: Any, keys: Sequence[Any], default: Any = None) -> Any:
        found = (read(dictionary, key, None) for key in keys)
        return next((value for value in found if value is not None), default)

    return reader


def _all() -> dict[str, Any]:
    made: dict[str, Any] = {}
    kinds = {"string": _string, "string_lower": _lower, "string_upper": _upper, "float": _float, "integer": _integer}
    kinds["timestamp"] = _timestamp
    for name, read in kinds.items():
        made[f"safe_{name}"] = staticmethod(read)
        made[f"safe_{name}_2"] = staticmethod(_second(read))
        made[f"safe_{name}_n"] = staticmethod(_any(read))
    made["safe_integer_product"], made["safe_integer_product_2"] = staticmethod(_scaled), staticmethod(_scaled_second)
    return made


READERS = _all()
"""For the namespace of a subclass, by ccxt's names."""
