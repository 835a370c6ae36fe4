"""A stranger publishes an exchange: ``plugins new demo``, build, install in a clean environment, ``conform demo``.

What is timed happens without a network: where the system lets us make one, in a namespace that has none. Before that,
not timed, our own wheels are built and everything they need is put into uv's cache, as an index would have it.
Prints the seconds (goal 60). Fails where a step or a case fails, or the goal is missed five times over.

    python tests/proofs/publish.py [--short]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
GOAL, SLACK = 60.0, 5.0
OURS = (ROOT, ROOT / "plugins" / "exgate-paper", ROOT / "plugins" / "exgate-testing")
NO_NETWORK = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def run(*command: str | Path, cwd: Path, within: Sequence[str] = (), good: Sequence[int] = (0,)) -> str:
    """The output of a command; one that ends otherwise ends the proof, after what it said."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("EXGATE_", "VIRTUAL_ENV"))}
    done = subprocess.run([*within, *map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode not in good:
        raise SystemExit(f"{done.stdout[-6000:]}{done.stderr[-6000:]}\nfailed: {' '.join(map(str, command))}")
    return done.stdout


def find_uv() -> str:
    """The uv of this environment, or the one on the PATH."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise SystemExit("needs uv")
    return uv


def build(project: Path, out: Path, within: Sequence[str] = ()) -> None:
    """The wheel of a project, with the hatchling that is here."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out, cwd=project, within=within)


def install(folder: Path, wheels: Path, *options: str, within: Sequence[str] = ()) -> Path:
    """A new environment with the wheels and what they need, in the versions of the lock; returns its scripts."""
    locked = re.findall(r"^[a-zA-Z0-9._-]+==[^ ;]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    (wheels / "constraints.txt").write_text("\n".join(locked))
    uv, scripts = find_uv(), folder / "bin"
    run(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, folder, cwd=wheels, within=within)
    what: list[str | Path] = ["-c", "constraints.txt", *sorted(wheels.glob("*.whl")), "pytest", "ruff", "mypy"]
    python = ("--python", scripts / "python")
    run(uv, "pip", "install", "--quiet", *options, *python, *what, cwd=wheels, within=within)
    return scripts


def publish(wheels: Path, folder: Path, within: Sequence[str]) -> dict[str, float]:
    """The whole way, once; the seconds of each step."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        seconds[step] = time.monotonic() - began

    mine, package = folder / "wheels", folder / "exgate-demo"
    shutil.copytree(wheels, mine)
    with timed("plugins new demo"):
        command = (sys.executable, "-m", "exgate_core", "plugins", "new", "demo", "--dir", folder)
        run(*command, cwd=ROOT, within=within)
    with timed("build"):
        build(package, mine, within)
    with timed("install in a clean environment"):
        scripts = install(folder / "env", mine, "--offline", within=within)
    with timed("conform demo"):
        report = run(scripts / "exgate", "conform", "demo", "--json", cwd=folder, within=within, good=(0, 1))
    tell(json.loads(report))
    with timed("(not counted) its own tests, types and style"):
        for tool, *arguments in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["pytest", "-q"]):
            run(scripts / tool, *arguments, cwd=package, within=within)
    return seconds


def tell(report: dict[str, list[dict[str, list[dict[str, str]]]]]) -> None:
    """Print what came of the cases; ends the proof if there is one that failed, or was waived."""
    [judged] = report["exchanges"]
    counts = Counter(case["result"] for case in judged["cases"])
    print(", ".join(f"{count} {result}" for result, count in sorted(counts.items())))
    for case in judged["cases"]:
        if case["result"] in ("failed", "waived"):
            print(f"{case['result']}: {case['label']} {case['title']}: {case['why']}")
    if counts["failed"] or counts["waived"] or not counts["passed"]:
        raise SystemExit("the package that was written doesn't pass")


def cut_off() -> Sequence[str]:
    """What to put before a command so that it has no network but this machine; nothing where that can't be."""
    try:
        subprocess.run([*NO_NETWORK, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        print("no namespace without a network to be had here: only uv is told to stay offline")
        return ()
    return NO_NETWORK


def main() -> int:
    """Print the figures; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="once instead of three times")
    times = 1 if parser.parse_args().short else 3
    totals = []
    with TemporaryDirectory() as name:
        folder, within = Path(name), cut_off()
        for project in OURS:
            build(project, folder / "wheels")
        install(folder / "before", folder / "wheels")
        for number in range(times):
            (folder / str(number)).mkdir()
            seconds = publish(folder / "wheels", folder / str(number), within)
            for step, took in seconds.items():
                print(f"{took:6.1f} s  {step}")
            totals.append(sum(took for step, took in seconds.items() if not step.startswith("(")))
    total = sorted(totals)[times // 2]
    print(f"plugins new demo -> build -> install -> conform demo, median of {times}: {total:.1f} s (goal {GOAL:g})")
    return int(total > SLACK * GOAL)


if __name__ == "__main__":
    sys.exit(main())
