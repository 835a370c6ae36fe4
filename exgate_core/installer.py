"""Who changes the environment that this gateway runs in: uv, or the pip of its interpreter. No shell is involved."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import invalidate_caches, metadata
from pathlib import Path
from typing import Final

from msgspec import Struct

from .errors import FailedPrecondition
from .plugins import GROUP, canonical

GROUPS: Final = frozenset({GROUP, "exgate.commands", "exgate.fakes"})
"""The entry-point groups by which a distribution is one of ExGate's plugins."""

_UV_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")
_PIP_INDEX = ("index-url", "extra-index-url", "find-links", "no-index")
_LAST_LINES = 12


class Installer(Struct, frozen=True):
    """uv or pip for one environment."""

    name: str
    install: tuple[str, ...]
    uninstall: tuple[str, ...]

    def run(self, command: Sequence[str]) -> None:
        """Run to the end. Raises FailedPrecondition with the last lines of what it said."""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        invalidate_caches()
        if done.returncode:
            said = "\n".join(done.stdout.decode(errors="replace").strip().splitlines()[-_LAST_LINES:])
            raise FailedPrecondition(f"{self.name} failed ({shown(command)}):\n{said}", reason="INSTALL_FAILED")


def find_installer(environment: Mapping[str, str] = os.environ) -> Installer:
    """uv where there is one, else pip. pip also where only pip was told where packages come from.

    Raises FailedPrecondition where the system's package manager owns this Python, or where there is neither.
    """
    _refuse_managed()
    uv = _uv(environment)
    pip = importlib.util.find_spec("pip") is not None
    if uv and not (pip and _only_pip_is_set_up(environment)):
        common = ("--quiet", "--python", sys.executable)
        return Installer("uv", (uv, "pip", "install", *common), (uv, "pip", "uninstall", *common))
    if pip:
        own = (sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check")
        return Installer("pip", (*own, "install"), (*own, "uninstall", "--yes"))
    raise FailedPrecondition(
        f"neither uv nor pip is here to change the environment of {sys.executable}. Nothing was done; "
        "install one of them, or the packages by other means",
        reason="NO_INSTALLER",
    )


def shown(command: Sequence[str]) -> str:
    """A command as one could type it."""
    return shlex.join(command)


def installed() -> dict[str, str]:
    """Every distribution of this environment: canonical name -> version."""
    return {canonical(name): found.version for found in metadata.distributions() if (name := found.name)}


def plugins() -> set[str]:
    """The distributions that are plugins of ExGate, by their canonical names."""
    points = (point for group in GROUPS for point in metadata.entry_points(group=group))
    return {canonical(point.dist.name) for point in points if point.dist is not None}


def needed_by_others(names: Iterable[str]) -> dict[str, list[str]]:
    """Which of these distributions others, that stay, need: canonical name -> the others."""
    going = set(names)
    found: dict[str, list[str]] = {}
    for other in metadata.distributions():
        if canonical(other.name or "") not in going:
            for name in going & set(_requires(other)):
                found.setdefault(name, []).append(other.name)
    return found


def _requires(distribution: metadata.Distribution) -> Iterator[str]:
    for line in distribution.requires or ():
        requirement, _, marker = line.partition(";")
        if "extra" not in marker:
            name = requirement.strip()
            yield canonical(name[: next((i for i, mark in enumerate(name) if mark in " [(<>=!~@"), len(name))])


def _uv(environment: Mapping[str, str]) -> str:
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    return beside or shutil.which("uv", path=environment.get("PATH")) or ""


def _only_pip_is_set_up(environment: Mapping[str, str]) -> bool:
    """Another index than the one set up may hold another package of that name: nobody is asked behind one's back."""
    if any(environment.get(name) for name in _UV_INDEX):
        return False
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    keys = {line.partition("=")[0].rpartition(".")[2] for line in listed.splitlines()}
    return bool(keys & set(_PIP_INDEX))


def _refuse_managed() -> None:
    """PEP 668: outside of a virtual environment the marker says that another program owns the packages."""
    marker = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if sys.prefix == sys.base_prefix and marker.exists():
        raise FailedPrecondition(
            f"{sys.executable} belongs to the system's package manager (PEP 668, {marker}); nothing was done. "
            "Install ExGate into an environment of its own (python3 -m venv DIR; DIR/bin/pip install exgate) and "
            "call DIR/bin/exgate",
            reason="EXTERNALLY_MANAGED",
        )
