"""The examples, as they are, against a gateway that serves the paper exchange."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

from .support.running import ROOT, Running, clean_environment, free_port, serving

EXAMPLES = ROOT / "examples"
MARKETS = [{"id": "btcusd", "base": "BTC", "quote": "USD"}, {"id": "ethusd", "base": "ETH", "quote": "USD"}]
BOOK = {"sequence": 41, "bids": [["64999.90", "0.50"], ["64999.8", "2"]], "asks": [["65000.10", "1.00"]]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("state")) as running:
        yield running


def output(*command: str, home: Path, **environment: str) -> str:
    done = subprocess.run(
        command, env={**clean_environment(home), **environment}, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_sample(gateway: Running, tmp_path: Path) -> None:
    pytest.importorskip("requests")
    text = output(sys.executable, str(EXAMPLES / "python_sample.py"), home=tmp_path, EXGATE_URL=gateway.url)
    balances, depth, trades, pulled, placed, pending, canceled = map(ast.literal_eval, text.splitlines())
    assert balances["balances"] and depth["bid_list"] and trades["trades"]
    assert pulled["status"] in ("starting", "live")
    assert placed["order_id"] in [order["order_id"] for order in pending["orders"]]
    assert canceled == {"status": "canceled"}


@pytest.mark.parametrize(
    ("method", "operation", "status"),
    [
        ("get", "balances", 200),
        ("get", "pending_orders", 200),
        ("get", "depth", 400),
        ("get", "recent_trades", 400),
        ("get", "pull_trade", 400),
        ("post", "order", 400),
        ("post", "cancel", 400),
    ],
)
def test_the_contracts_own_python_samples_to_the_letter(
    gateway: Running, tmp_path: Path, method: str, operation: str, status: int
) -> None:
    """Those that name no symbol get a Status that says so; all of them get JSON."""
    pytest.importorskip("requests")
    content_type = "  'Content-Type': 'application/json',\n" if method == "post" else ""
    sample = (
        "import requests\n"
        f"headers = {{\n{content_type}  'Accept': 'application/json'\n}}\n\n"
        f"r = requests.{method}('/v1/{{exchange}}/{operation}', headers = headers)\n\n"
        "print(r.json())\n"
    )
    file = tmp_path / "sample.py"
    file.write_text(sample.replace("/v1/{exchange}", f"{gateway.url}/v1/paper"))
    answer = ast.literal_eval(output(sys.executable, str(file), home=tmp_path))
    if status == 200:
        assert "code" not in answer
    else:
        assert answer["code"] == 3
        assert ("body" if method == "post" else "symbol") in answer["message"]


def test_the_go_sample(gateway: Running, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("no Go here: the sample is not compiled")
    url = f"{gateway.url}/v1/paper/depth?symbol=BTC/USDT&limit=5"
    environment = {"GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off"}
    text = output("go", "run", str(EXAMPLES / "go_sample.go"), url, home=tmp_path, **environment)
    head, body = text.splitlines()
    assert re.fullmatch(r"(local|exchange) [0-9]+\.[0-9]{3}", head)
    assert len(json.loads(body)["bid_list"][0]["bid"]) == 5


def test_the_python_stream_client(gateway: Running, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    url = f"{gateway.ws}/v1/paper/pull_trade?symbol=BTC/USDT"
    _check_stream(output(sys.executable, str(EXAMPLES / "ws_client.py"), url, "5", home=tmp_path))


def test_the_javascript_stream_client(gateway: Running, tmp_path: Path) -> None:
    command = [*_node(tmp_path), str(EXAMPLES / "ws_client.js"), f"{gateway.ws}/v1/paper/pull_trade?symbol=BTC/USDT"]
    _check_stream(output(*command, "5", home=tmp_path))


@pytest.mark.parametrize("client", ["ws_client.py", "ws_client.js", "exgate trades --follow"])
def test_a_restart_of_the_gateway_loses_no_trade(client: str, tmp_path: Path) -> None:
    """The paper exchange keeps its trades in a folder; so the ones of a whole restart are there to be asked for."""
    paper = ("-s", f"exchanges.paper.state={tmp_path / 'paper'}", "-s", "exchanges.paper.rate=50")
    arguments = ("--port", str(free_port()), *paper)
    with serving(tmp_path, *arguments) as gateway:
        process = subprocess.Popen(
            _client(client, gateway, tmp_path), stdout=subprocess.PIPE, text=True, env=clean_environment(tmp_path)
        )
        assert process.stdout is not None
        ids = [_trade_id(process.stdout.readline(), client) for _ in range(3)]
    with serving(tmp_path, *arguments) as gateway:
        with urlopen(f"{gateway.url}/v1/paper/recent_trades?symbol=BTC/USDT&limit=1") as answer:
            newest = json.load(answer)["trades"][0]["id"]
        while ids[-1] <= newest:
            ids.append(_trade_id(process.stdout.readline(), client))
        process.kill()
        process.communicate()
    assert ids == list(range(ids[0], ids[-1] + 1))


def _trade_id(line: str, client: str) -> int:
    return int(line.split()[-1 if client.startswith("exgate") else 0])


def _client(name: str, gateway: Running, home: Path) -> list[str]:
    url = f"{gateway.ws}/v1/paper/pull_trade?symbol=BTC/USDT"
    if name == "ws_client.py":
        pytest.importorskip("aiohttp")
        return [sys.executable, str(EXAMPLES / name), url]
    if name == "ws_client.js":
        return [*_node(home), str(EXAMPLES / name), url]
    return [sys.executable, "-m", "exgate_core", "trades", "paper", "BTC/USDT", "--follow", "--url", gateway.url]


def _check_stream(text: str) -> None:
    """Five trades, each once, in order."""
    rows = [line.split() for line in text.splitlines()]
    ids = [int(row[0]) for row in rows]
    assert len(ids) == 5
    assert ids == list(range(ids[0], ids[0] + 5))


def _node(home: Path) -> list[str]:
    """A Node with the browser's WebSocket."""
    if shutil.which("node") is None:
        pytest.skip("no Node here: the JavaScript client does not run")
    for command in (["node"], ["node", "--experimental-websocket"]):
        done = subprocess.run([*command, "-p", "typeof WebSocket"], capture_output=True, text=True)
        if done.stdout.strip() == "function":
            return [*command, *(["--no-warnings"] if len(command) > 1 else [])]
    pytest.skip("this Node has no WebSocket: the JavaScript client does not run")


def test_the_one_file_exchange(tmp_path: Path) -> None:
    with _lemon() as upstream:
        arguments = ["--plugins-dir", str(EXAMPLES / "one_file"), "-s", f"exchanges.lemon.upstream_prefix={upstream}"]
        with serving(tmp_path, *arguments) as gateway:
            with urlopen(f"{gateway.url}/v1/lemon/depth?symbol=btc-usd&limit=1") as answer:
                assert answer.headers["ExGate-Symbol"] == "BTC/USD"
                assert json.load(answer) == {
                    "lastUpdateId": 41,
                    "timeStamp": 0,
                    "bid_list": [{"bid": [{"price": "64999.90", "amount": "0.50"}]}],
                    "ask_list": [{"bid": [{"price": "65000.10", "amount": "1.00"}]}],
                }
            with urlopen(f"{gateway.url}/v1/lemon/markets") as answer:
                assert [market["symbol"] for market in json.load(answer)["markets"]] == ["BTC/USD", "ETH/USD"]


def test_the_one_file_exchange_fits_into_25_lines() -> None:
    assert len((EXAMPLES / "one_file" / "lemon.py").read_text().splitlines()) <= 25


@contextmanager
def _lemon() -> Iterator[str]:
    """The exchange called Lemon, reached through a prefix as a recorder would be."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("https://api.lemon.example")[2].partition("?")[0]
            data = json.dumps({"/markets": MARKETS, "/book": BOOK}[path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def test_the_examples_are_mentioned() -> None:
    """Nothing in the folder that no page leads to."""
    text = "".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for path in EXAMPLES.iterdir():
        assert f"examples/{path.name}" in text, path.name
