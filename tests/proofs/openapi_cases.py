"""Thousands of requests made from ``/openapi.json``, good and bad, against a running gateway.

What must hold: no answer is a 5xx but 501, 503 and 504; whatever isn't a success is a Status; successes have the shape
that the document states; of the good requests none is refused.

    python tests/proofs/openapi_cases.py [--url URL] [--cases 2000] [--good 1000] [--short] [--seed N]

Without ``--url`` it starts ``exgate serve`` with the paper exchange on a free port.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import hypothesis
import schemathesis
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

requests: Any = importlib.import_module("requests")  # what schemathesis speaks; its types are a package of their own
EXCHANGE = "paper"
CHECKS = [checks.response_schema_conformance, checks.content_type_conformance, checks.status_code_conformance]
ALLOWED_5XX = (501, 503, 504)
START_SECONDS = 30


class Broken(Exception):
    """A request whose answer breaks the contract."""


@contextmanager
def gateway(url: str) -> Iterator[str]:
    """The address of the gateway: the one given, or one that lives as long as this block."""
    if url:
        yield url.rstrip("/")
        return
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "exgate_core", "serve", "--port", "0", "-s", f"server.state_dir={home}"]
        environment = {**os.environ, "HOME": home, "EXGATE_CONFIG": "", "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as server:
            try:
                yield _address(server)
            finally:
                server.terminate()
                server.communicate(timeout=START_SECONDS)


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    said = []
    for line in server.stdout:
        said.append(line)
        found = re.search(r"https?://\S+:\d+", line)
        if found:
            return found[0]
    raise SystemExit("the gateway did not start:\n" + "".join(said))


def _aimed(document: dict[str, Any], symbols: list[str]) -> dict[str, Any]:
    """The document with names that exist, so that cases get past the first look-up."""
    aimed = copy.deepcopy(document)
    for path in aimed["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                if parameter["name"] == "exchange":
                    parameter["schema"] = {"type": "string", "enum": [EXCHANGE]}
                if parameter["name"] == "symbol":
                    parameter["schema"] = {"type": "string", "enum": symbols}
            body = operation.get("requestBody")
            if body:
                properties = body["content"]["application/json"]["schema"]["properties"]
                properties["symbol"] = {"type": "string", "enum": symbols}
    return aimed


class Cases:
    """Sends generated cases and keeps count of the answers."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self._seed = url, seed
        self.session = requests.Session()
        self.session.trust_env = False
        self.answers: Counter[int] = Counter()

    def run(self, document: dict[str, Any], mode: GenerationMode, cases: int) -> None:
        """So many cases of one kind, spread evenly over the operations."""
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=self.url)
        found: list[Any] = list(schema.get_all_operations())
        operations = [operation.ok() for operation in found]
        seed = self._seed
        # Where little varies there are few different cases, and where nothing varies no bad ones: others fill it up.
        while cases > 0 and operations:
            share = -(-cases // len(operations))
            counts = [self._sent(operation, mode, share, seed) for operation in operations]
            operations = [operation for operation, count in zip(operations, counts, strict=True) if count]
            cases, seed = cases - sum(counts), seed + 1

    def _sent(self, operation: Any, mode: GenerationMode, cases: int, seed: int) -> int:
        before = sum(self.answers.values())

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=cases,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            self._send(case)

        with suppress(hypothesis.errors.Unsatisfiable):  # no bad request exists where nothing can be given
            send()
        return sum(self.answers.values()) - before

    def _send(self, case: Any) -> None:
        answer = case.call(session=self.session, allow_redirects=False, timeout=30)
        self.answers[answer.status_code] += 1
        try:
            check(answer.status_code, (answer.headers.get("exgate-reason") or [""])[0], answer.content)
            if answer.status_code < 300 and case.method.upper() != "HEAD":
                case.validate_response(answer, checks=CHECKS)
        except Exception as error:
            raise Broken(f"{error}\nseed {self._seed}: {case.as_curl_command()}\n{answer.status_code}") from error


def check(status: int, reason: str, body: bytes) -> None:
    """What holds for every answer: no crash, and a Status unless it is a success."""
    if status >= 500 and status not in ALLOWED_5XX:
        raise Broken(f"answered {status}: {body[:500]!r}")
    if status < 200 or 300 <= status < 400:
        raise Broken(f"answered {status}")
    if status >= 400:
        _check_status(reason, json.loads(body))


def _check_status(reason: str, said: Any) -> None:
    if {type(said.get("code")), type(said.get("message"))} != {int, str} or not said["code"]:
        raise Broken(f"no Status: {said!r}")
    if not reason or not said["message"].startswith(reason + ": "):
        raise Broken(f"the message doesn't start with the reason {reason!r}: {said!r}")
    for detail in said["details"]:
        if not re.fullmatch(r"type\.googleapis\.com/google\.rpc\.\w+", detail["type_url"]):
            raise Broken(f"an odd detail: {detail!r}")


class Good:
    """Requests that nobody may refuse, made from the market list."""

    def __init__(self, cases: Cases, markets: list[dict[str, Any]], seed: int) -> None:
        self._cases, self._random = cases, random.Random(seed)
        self._markets = [market for market in markets if market["active"]]
        self.sent = 0

    def run(self, count: int) -> None:
        """Send so many."""
        kinds: list[Callable[[], None]] = [self._depth, self._trades, self._private, self._pull, self._plain]
        while self.sent < count:
            self._random.choice([*kinds, self._order])()

    def _ask(self, method: str, path: str, **what: Any) -> Any:
        self.sent += 1
        answer = self._cases.session.request(method, self._cases.url + path, timeout=30, **what)
        self._cases.answers[answer.status_code] += 1
        if answer.status_code != 200:
            raise Broken(f"a good request was refused: {method} {path} {what!r}\n{answer.status_code} {answer.text}")
        return answer.json()

    def _symbol(self) -> str:
        market = self._random.choice(self._markets)
        base, quote = market["base"], market["quote"]
        forms = [market["symbol"], market["id"], f"{base}-{quote}", f"{base}_{quote}".lower()]
        return str(self._random.choice(forms))

    def _read(self) -> dict[str, str]:
        pick = self._random
        params = {"symbol": self._symbol()}
        extra: dict[str, Callable[[], str]] = {
            "limit": lambda: pick.choice(["0", "1", "5", "20", "999", "100000", str(pick.randrange(1, 5000))]),
            "isLocal": lambda: pick.choice(["true", "false", "1", "0"]),
            "tolerate_interval": lambda: pick.choice(["0", "1", "2.5", "60", f"{pick.random():.3f}"]),
            "extended": lambda: pick.choice(["true", "false"]),
            "unknown": lambda: "x",
        }
        for name, make in extra.items():
            if pick.random() < 0.5:
                params[name] = make()
        return params

    def _depth(self) -> None:
        self._ask("GET", f"/v1/{EXCHANGE}/depth", params=self._read())

    def _trades(self) -> None:
        self._ask("GET", f"/v1/{EXCHANGE}/recent_trades", params=self._read())

    def _private(self) -> None:
        self._ask("GET", f"/v1/{EXCHANGE}/balances", json={"a GET": "with a body"})
        self._ask("GET", f"/v1/{EXCHANGE}/pending_orders", params=self._random.choice([{}, {"symbol": self._symbol()}]))

    def _pull(self) -> None:
        params = {"symbol": self._symbol()}
        self._ask("GET", f"/v1/{EXCHANGE}/pull_trade", params=params)
        self._ask("DELETE", f"/v1/{EXCHANGE}/pull_trade", params=params)

    def _plain(self) -> None:
        beyond = [f"/v1/{EXCHANGE}/{name}" for name in ("capabilities", "markets", "pulls")]
        self._ask("GET", self._random.choice([*beyond, "/v1/exchanges", "/healthz", "/readyz", "/openapi.json"]))

    def _order(self) -> None:
        """A small bid far below the market, looked at and taken back."""
        market = self._random.choice(self._markets)
        symbol = market["symbol"]
        book = self._ask("GET", f"/v1/{EXCHANGE}/depth", params={"symbol": symbol, "limit": "1"})
        best = Decimal(book["bid_list"][0]["bid"][0]["price"])
        tick, step = (Decimal(market[rule] or "0.01") for rule in ("tick_size", "step_size"))
        price = (best * Decimal("0.9") / tick).to_integral_value() * tick
        least = max(Decimal(market["min_amount"] or 0), Decimal(market["min_notional"] or 0) / price, step)
        amount = ((least / step).to_integral_value() + self._random.randrange(1, 3)) * step
        order = {
            "symbol": symbol,
            "side": self._random.choice(["buy", "BUY"]),
            "type": self._random.choice(["limit", "Limit"]),
            "price": format(price, "f"),
            "amount": format(amount, "f"),
        }
        order_id = self._ask("POST", f"/v1/{EXCHANGE}/order", json=order)["order_id"]
        self._ask("GET", f"/v1/{EXCHANGE}/order", params={"order_id": order_id, "symbol": symbol})
        self._ask("POST", f"/v1/{EXCHANGE}/cancel", json={"symbol": symbol, "order_id": order_id})


def prove(url: str, cases: int, good: int, seed: int) -> None:
    """Run everything against one gateway and print the figures."""
    started = time.monotonic()
    sender = Cases(url, seed)
    document = sender.session.get(f"{url}/openapi.json", timeout=30).json()
    markets = sender.session.get(f"{url}/v1/{EXCHANGE}/markets", timeout=30).json()["markets"]
    aimed = _aimed(document, [market["symbol"] for market in markets[:5]])
    for text, mode, share in (
        (document, GenerationMode.POSITIVE, 0.2),
        (document, GenerationMode.NEGATIVE, 0.2),
        (aimed, GenerationMode.POSITIVE, 0.3),
        (aimed, GenerationMode.NEGATIVE, 0.3),
    ):
        sender.run(text, mode, round(cases * share))
    generated = sum(sender.answers.values())
    requests_ = Good(sender, markets, seed)
    requests_.run(good)
    print(f"{generated} generated cases, {requests_.sent} good requests, none refused, seed {seed}")
    print("answers:", ", ".join(f"{status} x {count}" for status, count in sorted(sender.answers.items())))
    print(f"{time.monotonic() - started:.1f} s")


def main() -> None:
    """Parse, run, and end with 1 where something broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="", help="a running gateway that serves the paper exchange")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--good", type=int, default=1000)
    parser.add_argument("--short", action="store_true", help="a tenth of everything")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    chosen = parser.parse_args()
    share = 10 if chosen.short else 1
    try:
        with gateway(chosen.url) as url:
            prove(url, chosen.cases // share, chosen.good // share, chosen.seed)
    except Broken as broken:
        raise SystemExit(f"BROKEN, seed {chosen.seed}: {broken}") from None


if __name__ == "__main__":
    main()
