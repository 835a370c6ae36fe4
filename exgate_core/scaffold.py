"""``exgate plugins new``: a whole plugin package, written from the templates beside this file. Nothing is fetched."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from . import __version__
from .errors import AlreadyExists, FailedPrecondition, InvalidArgument

_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*", re.ASCII)
_LONGEST = 32
_TAKEN = ("core", "testing")
_ENDING = ".tmpl"


def write_package(name: str, folder: Path) -> Path:
    """Write the package of an exchange into a new folder ``exgate-NAME`` and return that; it is there whole, or not.

    Raises InvalidArgument for a name that can't be one, AlreadyExists where the folder is there, FailedPrecondition
    where it can't be written.
    """
    words = _words(name)
    target = folder / words["dist"]
    if target.exists():
        raise AlreadyExists(f"{target} is there already; nothing was written", reason="EXISTS")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=folder))
    except OSError as error:
        raise FailedPrecondition(f"{folder}: {error.strerror}; nothing was written", reason="NOT_WRITTEN") from None
    try:
        for path, text in files(words):
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text, encoding="utf-8")
        draft.chmod(0o777 & ~_umask())
        os.rename(draft, target)  # fails where somebody else made the folder meanwhile and put something into it
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise FailedPrecondition(f"{target}: {error.strerror}; nothing was written", reason="NOT_WRITTEN") from None
    return target


def files(words: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The paths and texts of a package, filled in."""
    for path, template in _templates(resources.files(__package__) / "template"):
        yield _filled(path.replace("MODULE", words["module"]), words), _filled(template, words)


def _words(name: str) -> dict[str, str]:
    """What stands for each ``@word@`` of a template."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        rule = f"an exchange is called by a-z and 0-9, with single _ or - between them, at most {_LONGEST}"
        raise InvalidArgument.of("name", f"{rule}; not {name[:40]!r}")
    if name in _TAKEN:
        raise InvalidArgument.of("name", f"exgate-{name} is a part of ExGate itself")
    parts = re.split(r"[_-]", name)
    kind = "".join(part.capitalize() for part in parts)
    return {
        "name": name,
        "NAME": "_".join(parts).upper(),
        "Class": kind if kind[0].isalpha() else f"X{kind}",
        "module": f"exgate_{'_'.join(parts)}",
        "dist": f"exgate-{'-'.join(parts)}",
        "host": f"{'-'.join(parts)}.example",
        "version": __version__,
    }


def _templates(folder: Traversable, path: str = "") -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = re.sub(r"^dot-", ".", entry.name)
        if entry.is_dir():
            yield from _templates(entry, f"{path}{name}/")
        elif name.endswith(_ENDING):
            yield path + name.removesuffix(_ENDING), entry.read_text(encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
