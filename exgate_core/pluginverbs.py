"""The verbs that change which plugins there are: new, add, remove, sync.

The environment is changed first and ``plugins.txt`` after it: a line in the file always stood for something that was
installed once. What can't be kept in step is said.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from . import tables
from .errors import FailedPrecondition, InvalidArgument, NotFound
from .verbs import Options, common

if TYPE_CHECKING:
    from .installer import Installer
    from .pluginlist import Drift, Line

_OWN = "exgate"
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@click.command()
@common
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where to.")
@click.pass_obj
def new(options: Options, name: str, folder: Path) -> None:
    """Write the package exgate-NAME, a plugin for the exchange NAME with tests, into a new folder."""
    from .scaffold import write_package

    target = write_package(name, folder)
    steps = f"{target} is written. README.md in it says how to go on:\n\n    cd {shlex.quote(str(target))}"
    options.print({"path": str(target)}, f"{steps}\n    python -m pip install -e '.[dev]'\n    pytest")


@click.command()
@common
@_dry_run
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE...")
@click.pass_obj
def add(options: Options, packages: tuple[str, ...], dry_run: bool) -> int:
    """Install each PACKAGE (a requirement, a wheel, a project folder) and write it into plugins.txt."""
    from .pluginlist import merged, text_of, wanted

    file = _File(options)
    added = [wanted(package, Path.cwd()) for package in packages]
    text = text_of(merged(file.lines, added))
    installer = _installer()
    if dry_run:
        return _would(options, file, text, [*installer.install, "-r", str(file.path)])
    with file.replacement(text) as candidate:
        _change(installer, [*installer.install, "-r", str(candidate)], file)
        file.accept(candidate)
    return _tell(options, file, [line.name for line in added])


@click.command()
@common
@_dry_run
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE...")
@click.pass_obj
def remove(options: Options, packages: tuple[str, ...], dry_run: bool) -> int:
    """Uninstall each PACKAGE, a plugin, and take it out of plugins.txt. What it needed itself stays installed."""
    from .installer import installed
    from .pluginlist import text_of, without
    from .plugins import canonical

    file = _File(options)
    names = [canonical(package) for package in packages]
    present = installed()
    _check_removable(names, file, present)
    text = text_of(without(file.lines, names))
    going = [name for name in names if name in present]
    installer = _installer()
    command = [*installer.uninstall, *going] if going else []
    if dry_run:
        return _would(options, file, text, command)
    with file.replacement(text) as candidate:
        if command:
            _change(installer, command, file)
        file.accept(candidate)
    return _tell(options, file, names)


@click.command()
@common
@_dry_run
@click.pass_obj
def sync(options: Options, dry_run: bool) -> int:
    """Install what plugins.txt lists, after an upgrade say. Ends with 3 where something listed is not there."""
    file = _File(options)
    if not file.path.exists():
        raise NotFound(f"{file.path}: there is no such file; `exgate plugins add` writes it", reason="NO_PLUGINS_TXT")
    if not dry_run:
        installer = _installer()
        _change(installer, [*installer.install, "-r", str(file.path)], file)
    return _tell(options, file, [])


VERBS: tuple[click.Command, ...] = (new, add, remove, sync)
"""What this module adds to ``exgate plugins``."""


class _File:
    """plugins.txt as it was when the verb began."""

    def __init__(self, options: Options) -> None:
        from .pluginlist import read
        from .settings import plugins_file

        self.path = plugins_file(options.config).resolve()
        self.text = self._now()
        self.lines: Sequence[Line] = read(self.text)

    def replacement(self, text: str) -> _Candidate:
        return _Candidate(self.path, text)

    def accept(self, candidate: Path) -> None:
        """Put the candidate in the place of the file, unless somebody else changed it meanwhile."""
        kept = f"The environment was changed, {self.path} was not: `exgate plugins sync --dry-run` shows the difference"
        if self._now() != self.text:
            raise FailedPrecondition(f"{self.path} was changed meanwhile. {kept}", reason="CHANGED_MEANWHILE")
        try:
            os.replace(candidate, self.path)
        except OSError as error:
            raise FailedPrecondition(f"{self.path}: {error.strerror}. {kept}", reason="NOT_WRITTEN") from None

    def _now(self) -> str:
        try:
            return self.path.read_bytes().decode() if self.path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgument(f"{self.path} can't be read ({error})") from None


class _Candidate:
    """The next plugins.txt, beside the present one: so that what it refers to is found, and a rename makes it valid."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text = path.with_name(f".plugins.{os.getpid()}.txt"), text

    def __enter__(self) -> Path:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(self._text.encode())
        except OSError as error:
            message = f"{self._path.parent} can't be written ({error.strerror}). Nothing was done"
            raise FailedPrecondition(message, reason="NOT_WRITTEN") from None
        return self._path

    def __exit__(self, *raised: object) -> None:
        self._path.unlink(missing_ok=True)


def _installer() -> Installer:
    from .installer import find_installer

    return find_installer()


def _check_removable(names: Iterable[str], file: _File, present: dict[str, str]) -> None:
    from .installer import needed_by_others, plugins

    listed, known = {line.name for line in file.lines}, plugins()
    for name in names:
        if name == _OWN:
            raise InvalidArgument.of("package", "exgate itself is no plugin")
        if name not in listed and name in present and name not in known:
            raise InvalidArgument.of("package", f"{name!r} is installed, but is no plugin of ExGate")
        if name not in listed and name not in present:
            raise NotFound(f"{name!r} is neither installed nor in {file.path}", reason="NO_SUCH_PLUGIN")
    for name, others in needed_by_others(names).items():
        message = f"{name} is needed by {', '.join(sorted(others))}. Nothing was done"
        raise FailedPrecondition(message, reason="NEEDED_BY_OTHERS")


def _change(installer: Installer, command: Sequence[str], file: _File) -> None:
    """Change the environment; where that fails, say how it now compares with the file, which stays as it was."""
    try:
        installer.run(command)
    except FailedPrecondition as error:
        found = _drift(file)
        state = f"it differs:\n{_described(found)}" if found.broken else "everything that it lists is installed"
        message = f"{error.message}\n{file.path} was not changed; {state}"
        raise FailedPrecondition(message, reason=error.reason) from None


def _drift(file: _File) -> Drift:
    from . import installer
    from .pluginlist import drift, followed

    return drift(followed(file.lines, file.path.parent), installer.installed(), installer.plugins())


def _would(options: Options, file: _File, text: str, command: Sequence[str]) -> int:
    from .installer import shown

    value = {"file": str(file.path), "command": list(command), "text": text}
    changed = f"would write {file.path}:\n{text}" if text != file.text else f"{file.path} would stay as it is\n"
    options.print(value, f"would run {shown(command)}\n{changed}" if command else changed)
    return 0


def _tell(options: Options, file: _File, names: Sequence[str]) -> int:
    """Say how file and environment compare now, and what became of these plugins."""
    from .installer import installed, plugins
    from .plugins import load_catalogue

    found = _drift(_File(options))
    have, known = installed(), plugins()
    reports = {report.package: report for report in load_catalogue([name for name in names if name in known]).reports}
    rows = [(name, have.get(name, ""), _state(name, have, known, reports)) for name in names]
    value: dict[str, Any] = {"file": str(file.path), "drift": msgspec.to_builtins(found)}
    value["packages"] = [dict(zip(("package", "version", "state"), row, strict=True)) for row in rows]
    shown = [tables.table(("package", "version", "state"), rows)] if rows else []
    options.print(value, "\n".join([*shown, f"{file.path}: {_described(found)}"]))
    return 3 if found.broken else 0


def _state(name: str, have: dict[str, str], known: set[str], reports: dict[str, Any]) -> str:
    if name not in have:
        return "not installed"
    if name not in known:
        return "installed, but it has no entry point in the group exgate: it is no plugin"
    refused = next((report.refused for package, report in reports.items() if package.lower() == name), "")
    return f"refused: {refused}" if refused else "installed"


def _described(found: Drift) -> str:
    said = [f"{name} is listed and not installed" for name in found.missing]
    said += [f"{name} is listed as {listed}, {have} is installed" for name, (listed, have) in found.other.items()]
    said += [f"{name} is installed and not listed: an upgrade would not bring it back" for name in found.unlisted]
    return "\n".join(said) or "everything that it lists is installed"
