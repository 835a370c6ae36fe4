#!/usr/bin/env python3
"""Run a command in ExGate's own environment: ``python3 dev.py COMMAND [ARGUMENT ...]``.

    python3 dev.py exgate serve     the gateway with every plugin of this checkout
    python3 dev.py pytest           the tests
    python3 dev.py lock             write requirements.lock anew (further arguments go to uv: --upgrade)

Needs Python 3.11 or later with pip, and nothing else. Everything is made inside the folder .dev: uv first if there is
none, then an environment with exactly the packages of requirements.lock and this checkout's own packages, editable.
It is made once, and again when requirements.lock or a pyproject.toml changes. The system's Python is never touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
DEV = ROOT / ".dev"
LOCK = ROOT / "requirements.lock"
ENV = DEV / f"py{sys.version_info[0]}.{sys.version_info[1]}"


def main(arguments: list[str]) -> int:
    """Make the environment if it is not there or old, then become the command."""
    if sys.version_info < (3, 11):
        return _fail(f"ExGate needs Python 3.11 or later; this is {sys.version.split()[0]} ({sys.executable})")
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    try:
        if arguments[0] == "lock":
            return write_lock(arguments[1:])
        make_environment()
    except subprocess.CalledProcessError as error:
        return _fail(f"this command failed with exit code {error.returncode}: {' '.join(map(str, error.cmd))}")
    return run(arguments)


def run(arguments: list[str]) -> int:
    """Replace this process by the command, so that signals reach it; returns only if there is no such command."""
    environment = os.environ | {
        "VIRTUAL_ENV": str(ENV),
        "PATH": f"{ENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    environment.pop("PYTHONHOME", None)
    try:
        os.execvpe(arguments[0], arguments, environment)
    except FileNotFoundError:
        return _fail(f"there is no command {arguments[0]!r} in {ENV / 'bin'} or on the PATH")


def make_environment() -> None:
    """See to it that the environment holds what requirements.lock and the members say. Two runs at once: one waits."""
    if _is_current():
        return
    DEV.mkdir(exist_ok=True)
    with (DEV / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current():
            _install()


def write_lock(arguments: list[str]) -> int:
    """Resolve every member's dependencies to versions and hashes; no line says where a package comes from."""
    DEV.mkdir(exist_ok=True)
    members = [str(path.relative_to(ROOT)) for path in _projects()]
    own = [re.search(r'^name = "(.+)"', (ROOT / path).read_text(), re.MULTILINE) for path in members]
    _uv(
        *("pip", "compile", *members, "--all-extras", "--group", "dev", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "--quiet"),
        *(f"--no-emit-package={name[1]}" for name in own if name),
        *("--output-file", str(LOCK), *arguments),
    )
    return _fail("requirements.lock names an address") if "://" in LOCK.read_text() else 0


def _install() -> None:
    python = ENV / "bin" / "python"
    if _read(ENV / "packages.stamp") != _packages_key():
        print(f"dev.py: making the environment {ENV}, once; this can take a minute", file=sys.stderr)
        shutil.rmtree(ENV, ignore_errors=True)
        _uv("venv", "--quiet", "--no-project", "--python", sys.executable, str(ENV))
        options = ("--quiet", "--require-hashes", "--compile-bytecode")
        _uv("pip", "install", "--python", str(python), *options, "-r", str(LOCK))
        (ENV / "packages.stamp").write_text(_packages_key())
    editable = [part for path in _projects() for part in ("-e", str(path.parent))]
    _uv("pip", "install", "--quiet", "--python", str(python), "--no-deps", "--no-build-isolation", *editable)
    sources = [str(ROOT / "exgate_core"), *(str(path.parent / "src") for path in _projects()[1:])]
    subprocess.run([python, "-m", "compileall", "-q", *sources], check=False, stdout=subprocess.DEVNULL)
    (ENV / "members.stamp").write_text(_members_key())


def _is_current() -> bool:
    return (
        _read(ENV / "packages.stamp") == _packages_key()
        and _read(ENV / "members.stamp") == _members_key()
        and (ENV / "bin" / "python").exists()
    )


def _packages_key() -> str:
    """Changes with the locked versions, the set of members, the Python and the place of the checkout."""
    parts = [LOCK.read_text(), sys.version, os.path.realpath(sys.executable), *map(str, _projects())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _members_key() -> str:
    return hashlib.sha256("\0".join(path.read_text() for path in _projects()).encode()).hexdigest()


def _projects() -> list[Path]:
    """The pyproject.toml of the core, then those of the plugins."""
    return [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]


def _uv(*arguments: str) -> None:
    subprocess.run([_find_uv(), *arguments], check=True, cwd=ROOT, env=_uv_environment())


def _find_uv() -> str:
    own = DEV / "uv" / "bin" / "uv"
    return str(own) if own.exists() else shutil.which("uv") or str(_get_uv(own))


def _get_uv(uv: Path) -> Path:
    """Install the uv of requirements.lock with pip, by its hash, into a folder of its own."""
    print("dev.py: getting uv", file=sys.stderr)
    pinned = re.search(r"^uv==(?:.*\\\n)*.*\n", LOCK.read_text(), re.MULTILINE)
    wanted = DEV / f"uv.{os.getpid()}.txt"
    wanted.write_text(pinned[0] if pinned else "uv\n")
    target = DEV / f"uv.{os.getpid()}"
    # A user's pip settings (user = true, require-virtualenv) are about other installs than into a folder.
    environment = os.environ | {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    try:
        subprocess.run([*command, "--target", target, "-r", wanted], check=True, env=environment)
        shutil.rmtree(uv.parent.parent, ignore_errors=True)
        target.rename(uv.parent.parent)
    finally:
        wanted.unlink()
        shutil.rmtree(target, ignore_errors=True)
    return uv


def _uv_environment() -> dict[str, str]:
    """uv asks the package index that pip is set up for, unless uv has settings of its own."""
    environment = dict(os.environ)
    if not os.access(Path.home(), os.W_OK):
        environment.setdefault("UV_CACHE_DIR", str(DEV / "cache"))
    if not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environment.keys():
        listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
        if index := re.search(r"^(?:global|install|:env:)\.index-url='(.+)'", listed.stdout, re.MULTILINE):
            environment["UV_DEFAULT_INDEX"] = index[1]
    return environment


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _fail(message: str) -> int:
    print(f"dev.py: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
