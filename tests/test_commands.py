"""Verbs that plugins bring: listed, loaded when used, and unable to break any other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from exgate_core.cli import main
from exgate_core.commands import GROUP

GOOD = """
import click

@click.command()
@click.argument("name")
@click.option("--loud", is_flag=True)
def greet(name, loud):
    click.echo(f"hello {name.upper() if loud else name}")
    return 7
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put modules on the path, and entry points that name something in them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    points: list[metadata.EntryPoint] = []
    monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == GROUP else [])

    def install(source: str, **verbs: str) -> None:
        module = f"{tmp_path.name}_{len(points)}"
        (tmp_path / f"{module}.py").write_text(source)
        points.extend(metadata.EntryPoint(name, f"{module}:{attribute}", GROUP) for name, attribute in verbs.items())

    return install


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_plugins_verb_runs_with_its_own_arguments_and_exit_code(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(GOOD, greet="greet")
    assert run(capsys, "greet", "ann", "--loud") == (7, "hello ANN\n", "")
    assert "--loud" in run(capsys, "greet", "--help")[1]
    assert run(capsys, "greet")[0] == 2


def test_help_lists_it_without_loading_it(install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install("raise RuntimeError('was loaded')", greet="greet")
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "greet" in out
    assert f"{tmp_path.name}_0" not in sys.modules


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no such day')", "RuntimeError: no such day"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("greet = 5", "is a int, no click command"),
        ("other = 5", "AttributeError"),
    ],
)
def test_a_broken_one_says_why_and_breaks_no_other(
    install: Install, capsys: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    install(source, greet="greet")
    install(GOOD, hail="greet")
    code, out, err = run(capsys, "greet", "ann")
    assert (code, out) == (1, "")
    assert said in err
    assert run(capsys, "hail", "ann") == (7, "hello ann\n", "")
    assert run(capsys, "openapi")[0] == 0


def test_a_verb_of_exgate_cant_be_taken(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(GOOD, openapi="greet")
    assert '"openapi"' in run(capsys, "openapi")[1]
    assert run(capsys, "--help")[1].count("openapi") == 1


def test_a_verb_that_two_bring_is_refused(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(GOOD, greet="greet")
    install(GOOD, greet="greet")
    code, _, err = run(capsys, "greet", "ann")
    assert code == 3
    assert "_0:greet and " in err
