"""Untyped tables -> Structs, where every mistake is named by its place and, if it is a name, by the nearest one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from .secrets import Secret, SettingsError, secret_of

T = TypeVar("T")

ALIKE = 0.7
"""How similar, from 0 to 1, a name must be to that of an exchange to be taken for a misspelling of it."""

_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$?(?P<path>.*)`)?", re.DOTALL)


def convert(data: Mapping[str, Any], into: type[T], origin: Callable[[str], str], path: str = "") -> T:
    """A Struct from a table whose own key is ``path``. ``origin`` tells from which file the value of a key came.

    Raises SettingsError for an unknown key (in this Struct or one inside it), a missing one and a wrong type.
    """
    for place, known in _unknown(inspect.type_info(into), data, path):
        raise unknown_key(origin, place, known)

    def custom(kind: type, value: object) -> object:
        key = next((name for name, found in data.items() if found is value), "")
        place = ".".join(filter(None, (path, key)))
        return _custom(kind, value, at(origin(place), place))

    try:
        return msgspec.convert(data, into, dec_hook=custom)
    except msgspec.ValidationError as error:
        found = _PLACE.fullmatch(str(error))
        assert found is not None
        place = (path + (found["path"] or "")).removeprefix(".")
        what = found["what"].replace("`", "")
        if what.startswith("Invalid enum value"):
            what = "; ".join(filter(None, (what, _choices(inspect.type_info(into), found["path"] or ""))))
        raise SettingsError(at(origin(place), place, what[:1].lower() + what[1:])) from None


def at(*parts: str) -> str:
    """``file: key: what is wrong``, without what is empty."""
    return ": ".join(part for part in parts if part)


def unknown_key(origin: Callable[[str], str], path: str, known: Collection[str]) -> SettingsError:
    """What to say of a key whose last part isn't one of ``known``."""
    near = nearest(path.rpartition(".")[2], known)
    choices = f"did you mean {near}?" if near else f"known here: {', '.join(sorted(known)) or 'none'}"
    return SettingsError(at(origin(path), path, f"unknown key; {choices}"))


def nearest(name: str, known: Collection[str], least: float = 0.5) -> str:
    """The most similar of ``known``, or an empty text if none is as similar as ``least`` (0 to 1)."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=least)), "")


def _unknown(kind: inspect.Type, data: object, path: str) -> Iterator[tuple[str, list[str]]]:
    """Every key that no field has, as a path, with the known keys of its table."""
    if isinstance(kind, inspect.UnionType):
        structs = [member for member in kind.types if isinstance(member, inspect.StructType)]
        kind = structs[0] if len(structs) == 1 else kind
    if not isinstance(data, Mapping) or not isinstance(kind, inspect.StructType | inspect.DictType):
        return
    fields = {field.encode_name: field.type for field in kind.fields} if isinstance(kind, inspect.StructType) else None
    for name, value in data.items():
        place = f"{path}.{name}".removeprefix(".")
        inner = kind.value_type if isinstance(kind, inspect.DictType) else (fields or {}).get(name)
        if inner is None:
            yield place, list(fields or ())
        else:
            yield from _unknown(inner, value, place)


def _choices(kind: inspect.Type, path: str) -> str:
    """What may stand at a path into a Struct instead of a text that may not; empty where that is hard to tell."""
    for name in filter(None, path.split(".")):
        fields = kind.fields if isinstance(kind, inspect.StructType) else ()
        kind = next((field.type for field in fields if field.encode_name == name), inspect.AnyType())
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    texts = [f'"{text}"' for member in members if isinstance(member, inspect.LiteralType) for text in member.values]
    texts += ["a list" for member in members if isinstance(member, inspect.VarTupleType | inspect.ListType)]
    return f"it may be {' or '.join(filter(None, (', '.join(texts[:-1]), texts[-1])))}" if texts else ""


def _custom(kind: type, value: object, where: str) -> object:
    if kind is Secret:
        return secret_of(value, where)
    raise TypeError(f"settings can't hold a {kind.__name__}")
