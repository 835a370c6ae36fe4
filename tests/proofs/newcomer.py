"""A newcomer's first minute: clone, ``python3 dev.py exgate serve`` with an empty HOME, seven answers; then once more.

Prints the seconds from the first command to the seventh answer (goal 60, the installation included), and from the
second start to its first answer (goal 1). Fails where an operation isn't answered with 200, or a goal is missed five
times over.

    python tests/proofs/newcomer.py [--short] [--python PYTHON]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
FIRST, SECOND, SLACK = 60.0, 1.0, 5.0
ORDER = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "30000.00", "amount": "0.00100"}


def ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer to one request; raises HTTPError for anything but success."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if body is not None else {}
    with urlopen(Request(url, data, headers), timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def seven(url: str) -> None:
    """All operations of the contract, once."""
    base = f"{url}/v1/paper"
    assert ask(f"{base}/depth?symbol=BTC/USDT&limit=5")["bid_list"]
    assert "trades" in ask(f"{base}/recent_trades?symbol=BTC/USDT")
    assert ask(f"{base}/balances")["balances"]
    order_id = ask(f"{base}/order", ORDER)["order_id"]
    assert order_id in [order["order_id"] for order in ask(f"{base}/pending_orders")["orders"]]
    assert ask(f"{base}/cancel", {"symbol": "BTC/USDT", "order_id": order_id}) == {"status": "canceled"}
    assert ask(f"{base}/pull_trade?symbol=BTC/USDT")["status"] in ("starting", "live")


@contextmanager
def serving(python: str, checkout: Path, home: Path) -> Iterator[str]:
    """The README's first command."""
    # what belongs to the machine, such as the way to its package index, stays; what belongs to a user goes
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EXGATE_", "XDG_", "PYTHON"))}
    command = [python, "dev.py", "exgate", "serve", "--port", "0"]
    environment = {**kept, "HOME": str(home)}
    with subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = next(filter(None, (re.search(r"https?://[\w.:\[\]]+", line) for line in process.stdout)), None)
            assert found is not None, f"the gateway ended with {process.wait()}"
            yield found[0]
        finally:
            process.send_signal(signal.SIGTERM)


def main() -> int:
    """Print the two figures; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="one second start instead of five")
    parser.add_argument("--python", default="python3")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        checkout, home = Path(folder, "exgate"), Path(folder, "home")
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
        began = time.monotonic()
        with serving(options.python, checkout, home) as url:
            seven(url)
            first = time.monotonic() - began
        seconds = []
        for _ in range(1 if options.short else 5):
            began = time.monotonic()
            with serving(options.python, checkout, home) as url:
                ask(f"{url}/v1/paper/depth?symbol=BTC/USDT&limit=5")
                seconds.append(time.monotonic() - began)
    second = sorted(seconds)[len(seconds) // 2]
    print(f"first install and start to seven live answers: {first:.1f} s (goal {FIRST:g})")
    print(f"second start to first answer, median of {len(seconds)}: {second:.2f} s (goal {SECOND:g})")
    return int(first > SLACK * FIRST or second > SLACK * SECOND)


if __name__ == "__main__":
    sys.exit(main())
