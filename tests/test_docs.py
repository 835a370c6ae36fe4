"""The documentation: links lead somewhere, what is documented exists and the other way round, and what can run runs."""

from __future__ import annotations

import inspect
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import click
import msgspec
import pytest

from exgate_core import cli, errors, hookspecs, models, settings, verbs
from exgate_core.operations import OPERATIONS

from .support import client504
from .support.running import ROOT, Running, clean_environment, free_port, serving

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}


class Block(NamedTuple):
    """A fenced block of code."""

    page: str
    language: str
    text: str
    comment: str
    """What an HTML comment on the line above says."""


def blocks(language: str) -> list[Any]:
    """Every block of a language, each as a parameter with a name."""
    fence = re.compile(
        r"(?:<!-- (?P<comment>.*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
    )
    found = [
        Block(page, match["language"], match["text"], match["comment"] or "")
        for page, text in TEXTS.items()
        for match in fence.finditer(text)
    ]
    chosen = [block for block in found if block.language == language]
    return [pytest.param(block, id=f"{block.page}-{number}") for number, block in enumerate(chosen)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("state")) as running:
        yield running


# Links and names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXTS[page.name]):
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], target


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_every_operation_and_parameter_is_documented(operation: Any) -> None:
    page = TEXTS["http-api.md"]
    assert f"{operation.method} {operation.path}" in page
    for parameter in operation.parameters:
        assert parameter.name in page, parameter.name


ELSEWHERE = set("installer pluginlist pluginverbs scaffold commands upkeep grants tokens server asgi logs".split())
"""Rooms whose errors no caller of the HTTP API sees."""
AT_START = {
    "UNSAFE_BIND",
    "TOKEN_FILE",
    "STATE_DIR",
    "JOURNAL_LOCKED",
    "JOURNAL_VERSION",
    "JOURNAL_DAMAGED",
    "NOT_UNDECIDED",
}


def test_every_reason_that_callers_may_see_is_documented() -> None:
    rooms = [path for path in (ROOT / "exgate_core").glob("*.py") if path.stem not in ELSEWHERE]
    raised = {found for path in rooms for found in re.findall(r'reason="([A-Z_]+)"', path.read_text(encoding="utf-8"))}
    assert len(raised) > 40
    page = TEXTS["http-api.md"]
    assert sorted(reason for reason in raised - AT_START if not re.search(rf"\b{reason}\b", page)) == []


def test_every_code_is_documented() -> None:
    page = TEXTS["http-api.md"]
    for kind in errors.ExGateError.__subclasses__():
        if kind.__module__ == errors.__name__:
            row = re.search(rf"^\| {kind.code} \|[^|]*{kind.http}[^|]*\|[^|]*{kind.default_reason}", page, re.MULTILINE)
            assert row, kind.__name__


@pytest.mark.parametrize("owner", [hookspecs.ModuleHooks, hookspecs.ExchangeHooks, hookspecs.AccountHooks])
def test_every_hook_is_documented_with_its_arguments(owner: type) -> None:
    for name, hook in vars(owner).items():
        if hasattr(hook, "exgate_spec"):
            arguments = hook.__code__.co_varnames[1 : hook.__code__.co_argcount]
            assert f"`{name}({', '.join(arguments)})`" in TEXTS["writing-a-plugin.md"]


def test_every_wrapped_operation_is_documented() -> None:
    documented = re.findall(r"``(\w+)``", _docstring_below(models.Call, "operation"))
    assert documented
    for operation in documented:
        assert f"`{operation}`" in TEXTS["writing-a-plugin.md"]


def test_the_settings_page_shows_every_setting_with_its_default() -> None:
    (block,) = [parameter.values[0] for parameter in blocks("toml") if parameter.values[0].page == "settings.md"]
    shown = tomllib.loads(block.text)
    structs = {
        "server": settings.Server,
        "local": settings.Local,
        "plugins": settings.Plugins,
        "orders": settings.Orders,
    }
    for name, struct in structs.items():
        assert list(shown[name]) == list(struct.__struct_fields__)
        defaults = json.loads(msgspec.json.encode(struct()))
        for key, value in shown[name].items():
            assert value == (defaults[key] if defaults[key] is not None else "trade"), key
    assert set(shown["exchanges"]["mine"]) | {"account", "extra"} == set(settings.Section.__struct_fields__)


def test_the_settings_page_is_a_settings_file(tmp_path: Path) -> None:
    (block,) = [parameter.values[0] for parameter in blocks("toml") if parameter.values[0].page == "settings.md"]
    file = tmp_path / "exgate.toml"
    file.write_text(block.text)
    loaded = settings.load(file)
    assert loaded.exchanges["mine"].credentials is not None
    assert loaded.exchanges["rehearsal"].account == "paper"


def _verbs() -> Iterator[tuple[str, click.Command]]:
    for name, command in cli.cli.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", found) for inner, found in command.commands.items())
        else:
            yield name, command


@pytest.mark.parametrize(("name", "command"), list(_verbs()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_verb_and_option_is_documented(name: str, command: click.Command) -> None:
    page = TEXTS["cli.md"]
    rows = [line for line in page.splitlines() if line.startswith("|") and f"`{name}" in line]
    assert rows
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            option = max(parameter.opts, key=len)
            assert any(option in row for row in rows) or f"`{option}" in page, option


def test_the_exit_codes_are_those_of_the_errors() -> None:
    rows = dict(re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", TEXTS["cli.md"].split("## Exit codes")[1], re.MULTILINE))
    for kind in errors.ExGateError.__subclasses__():
        if kind.__module__ == errors.__name__:
            code = verbs.exit_code(kind("x"))
            assert str(kind.code) in re.findall(r"\d+", rows[str(code)]), kind.__name__


# Blocks


@pytest.mark.parametrize("block", blocks("json"))
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks("toml"))
def test_toml_is_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_runs(block: Block, gateway: Running, tmp_path: Path) -> None:
    if block.comment.startswith("file: "):
        assert block.text == (ROOT / block.comment.removeprefix("file: ")).read_text(encoding="utf-8")
    if "import requests" in block.text:
        pytest.importorskip("requests")
    file = tmp_path / "block.py"
    file.write_text(block.text.replace("http://127.0.0.1:8000", gateway.url))
    done = subprocess.run([sys.executable, str(file)], env=clean_environment(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_client_of_the_504_page_places_once_while_the_gateway_restarts(tmp_path: Path) -> None:
    pytest.importorskip("requests")
    port, order = free_port(), {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "100"}
    place = client504.client(f"http://127.0.0.1:{port}")
    told: list[str] = []

    def trade() -> None:
        for number in range(80):
            try:
                told.append(place({**order, "amount": f"0.{1000 + number}"})["order_id"])
            except ValueError as refused:  # killed between its mark and its send
                told.append(f"no order: {refused}")

    trading = threading.Thread(target=trade)
    trading.start()
    for last in (False, False, True):
        with serving(tmp_path, "--port", str(port)) as running:
            trading.join(60 if last else 0.1)
            if not last:
                running.process.kill()
                continue
            with urlopen(f"{running.url}/v1/paper/pending_orders") as answer:
                found = [row["order_id"] for row in json.load(answer)["orders"]]
    assert len(told) == 80
    assert sorted(text for text in told if text.isdecimal()) == sorted(found)
    assert all("No order was placed" in text for text in told if not text.isdecimal())


@pytest.mark.parametrize("block", blocks("sh"))
def test_shell_runs(block: Block, gateway: Running, tmp_path: Path) -> None:
    _run_shell(block, gateway, tmp_path)


def test_the_readme_holds_after_a_restart_too(tmp_path: Path) -> None:
    (block,) = [parameter.values[0] for parameter in blocks("sh") if parameter.values[0].page == "README.md"]
    placed = []
    for _ in range(2):
        with serving(tmp_path) as running:
            placed.append(_run_shell(block, running, tmp_path))
    assert len(set(placed)) == 2


def _run_shell(block: Block, gateway: Running, home: Path) -> str:
    """Run each line as it stands; the id of the order that was placed first."""
    order_id = ""
    for line in block.text.replace("\\\n", " ").splitlines():
        line = re.sub(
            r"\$\((.*?)\)", lambda inner: subprocess.check_output(inner[1], shell=True, text=True).strip(), line
        )
        command = shlex.split(line.replace("http://127.0.0.1:8000", gateway.url).replace("ORDER_ID", order_id))
        if shutil.which(command[0]) is None and command[0] == "curl":
            pytest.skip("no curl")
        done = _run(command, gateway, home)
        assert done.returncode == 0, line + done.stderr
        assert '"code":' not in done.stdout, line + done.stdout
        order_id = order_id or "".join(re.findall(r'"order_id":"([^"]+)"', done.stdout)[:1])
    return order_id


def _run(command: list[str], gateway: Running, home: Path) -> subprocess.CompletedProcess[str]:
    if command[0] == "exgate":
        command = [sys.executable, "-m", "exgate_core", "--url", gateway.url, *command[1:]]
    else:
        command = [*command, "--silent", "--show-error"]
    return subprocess.run(command, env=clean_environment(home), capture_output=True, text=True)


def _docstring_below(struct: type, field: str) -> str:
    """The string that stands below a field in the source of its class."""
    tokens = list(tokenize.generate_tokens(io.StringIO(inspect.getsource(struct)).readline))
    at = next(i for i, token in enumerate(tokens) if token.string == field)
    return next(token.string for token in tokens[at:] if token.type == tokenize.STRING)


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:plugins/[\w-]+/)?tests/[\w./]+(?:::\w+)?)`", TEXTS["threats.md"])))
)
def test_every_test_that_a_defence_is_proven_by_exists(name: str) -> None:
    path, _, test = name.partition("::")
    assert re.search(rf"^(?:async )?def {test}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE) or not test
