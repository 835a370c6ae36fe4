"""``plugins.txt``: the plugins that an installation is meant to have, in the requirements format of pip and uv.

Pure text: what a line means is read, what isn't touched stays to the byte (comments, order, pins, hashes, options).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from .errors import InvalidArgument
from .plugins import canonical

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME})\s*(?P<extras>\[[^\]]*\])?\s*"
    r"(?:@\s*(?P<url>\S+)|(?P<versions>\(?[<>=!~](?:(?!--)[^;#])*?\)?))?"
    r"\s*(?P<marker>;(?:(?!--)[^#])*?)?(?P<hashes>(?:\s+--hash[= ]\S+)*)\s*"
)
_OTHER = re.compile(r"(?:-r|--requirement|(?P<editable>-e|--editable))[\s=]+(?P<path>\S+)")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_PIN = re.compile(r"\(?\s*===?\s*([A-Za-z0-9._+!-]+)\s*\)?")
_FILE = re.compile(rf"(?P<name>{_NAME}?)-\d[^/]*\.(?:whl|tar\.gz|zip)(?:#.*)?")


class Line(Struct, frozen=True):
    """One line, together with the lines that it is continued on."""

    text: str
    """As it stands in the file, its end included."""
    name: str = ""
    """The distribution that it asks for, in canonical spelling; empty for a comment, an option, an unnamed address."""
    said: str = ""
    """What it asks for, without comment and hashes."""
    pinned: str = ""
    """The one version that it allows; empty where it allows more."""
    conditional: bool = False
    """It has a marker: on some machines it asks for nothing."""


class Drift(Struct, frozen=True, kw_only=True):
    """Where a list and an environment differ."""

    missing: tuple[str, ...] = ()
    """Listed, not installed."""
    other: Mapping[str, tuple[str, str]] = {}
    """Listed with one version, installed in another: name -> (listed, installed)."""
    unlisted: tuple[str, ...] = ()
    """Installed plugins that the list doesn't name: an upgrade wouldn't bring them back."""

    @property
    def broken(self) -> bool:
        """Whether something that is listed isn't there."""
        return bool(self.missing or self.other)


def read(text: str) -> list[Line]:
    """The lines of a file."""
    lines, kept = [], ""
    for raw in text.splitlines(keepends=True):
        kept += raw
        if raw.rstrip("\r\n").endswith("\\") and not _COMMENT.match(raw):
            continue
        lines.append(_line(kept))
        kept = ""
    return [*lines, _line(kept)] if kept else lines


def wanted(argument: str, folder: Path) -> Line:
    """The line for what a user asks for: a requirement, or the path (seen from ``folder``) of a wheel or a project.

    Raises InvalidArgument for anything that would mean something else to pip: an option, two lines, no name.
    """
    if argument.startswith("-") or not argument.isprintable():
        raise InvalidArgument.of("package", f"{argument!r} is no package; options can be written into plugins.txt")
    place = folder / argument
    if re.search(r"[/\\]|\.(?:whl|tar\.gz|zip)$", argument) and "@" not in argument:
        return _line(f"{_name_of(place, argument)} @ {place.resolve().as_uri()}\n")
    if not _REQUIREMENT.fullmatch(argument.strip()):
        raise InvalidArgument.of("package", f"{argument!r} is neither a requirement like 'exgate-x==1.2' nor a path")
    return _line(argument.strip() + "\n")


def merged(lines: Sequence[Line], added: Sequence[Line]) -> list[Line]:
    """The list with these in it: each in the place of the line that names the same distribution, else at the end.

    A mere name changes nothing where the list already names it: its pin and its hashes stay. Raises InvalidArgument
    where two lines name the distribution: which one is meant isn't known.
    """
    result = list(lines)
    for line in added:
        places = [number for number, old in enumerate(result) if old.name == line.name]
        if len(places) > 1:
            raise InvalidArgument.of(
                "package", f"plugins.txt names {line.name!r} in {len(places)} lines; change it there"
            )
        if not places:
            result = [*_ended(result), line]
        elif not _adds_nothing(line, result[places[0]]):
            result[places[0]] = _line(line.text.rstrip("\n") + _comment(result[places[0]]) + "\n")
    return result


def without(lines: Iterable[Line], names: Collection[str]) -> list[Line]:
    """The list without the lines of these distributions (canonical names)."""
    return [line for line in lines if line.name not in names]


def followed(lines: Iterable[Line], folder: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Line]:
    """The lines, those of the files that they include (``-r``), and editable projects (``-e``) with their names.

    What can't be read is left out: pip and uv say so.
    """
    for line in lines:
        found = _OTHER.fullmatch(_COMMENT.sub("", line.text).strip())
        place = (folder / found["path"]).resolve() if found else folder
        if found is None or place in seen:
            yield line
        elif found["editable"]:
            with suppress(InvalidArgument):
                yield Line(line.text, canonical(_name_of(place, found["path"])), line.text.strip())
        else:
            with suppress(OSError, UnicodeDecodeError):
                yield from followed(read(place.read_text(encoding="utf-8")), place.parent, seen | {place})


def text_of(lines: Iterable[Line]) -> str:
    """The file."""
    return "".join(line.text for line in lines)


def drift(lines: Iterable[Line], installed: Mapping[str, str], plugins: Iterable[str]) -> Drift:
    """Compare a list with what is installed (canonical name -> version), and with those of it that are plugins."""
    named = {line.name: line for line in lines if line.name}
    return Drift(
        missing=tuple(name for name, line in named.items() if name not in installed and not line.conditional),
        other={name: (line.pinned, installed[name]) for name, line in named.items() if _differs(line, installed)},
        unlisted=tuple(sorted(set(plugins) - named.keys())),
    )


def _line(text: str) -> Line:
    joined = re.sub(r"\\\r?\n", " ", text)
    said = _COMMENT.sub("", joined).strip()
    found = _REQUIREMENT.fullmatch(said)
    named_file = _FILE.fullmatch(said.partition(" --hash")[0].rpartition("/")[2])
    if said.startswith("-") or (found is None and named_file is None) or not said:
        return Line(text)
    if named_file is not None and (found is None or not found["url"]):
        return Line(text, canonical(named_file["name"]), said)
    assert found is not None
    pin = _PIN.fullmatch((found["versions"] or "").strip())
    plain = said[: found.start("hashes")] if found["hashes"] else said
    return Line(text, canonical(found["name"]), plain.strip(), pin[1] if pin else "", found["marker"] is not None)


def _name_of(place: Path, argument: str) -> str:
    if not place.exists():
        raise InvalidArgument.of("package", f"{argument!r}: there is no such file or folder")
    if found := _FILE.fullmatch(place.name):
        return found["name"].replace("_", "-")
    try:
        name = tomllib.loads((place / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidArgument.of("package", f"{argument!r} is neither a wheel nor a Python project") from None
    return str(name)


def _adds_nothing(line: Line, old: Line) -> bool:
    return line.said in (old.said, line.name) or canonical(line.said) == line.name


def _comment(line: Line) -> str:
    found = _COMMENT.search(line.text.splitlines()[-1])
    return f"  {found[0].strip()}" if found else ""


def _ended(lines: Sequence[Line]) -> Iterator[Line]:
    """The same with a line end behind the last one."""
    for number, line in enumerate(lines, 1):
        open_end = number == len(lines) and not line.text.endswith("\n")
        yield _line(line.text + "\n") if open_end else line


def _differs(line: Line, installed: Mapping[str, str]) -> bool:
    have = installed.get(line.name, "")
    return bool(line.pinned and have and not line.conditional and line.pinned != have)
