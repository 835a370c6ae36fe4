"""Only the classes that are used are imported; who asks for the rest of ccxt finds it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("ccxt")

SCRIPT = """
import json, sys
from exgate_ccxt.loading import _exchange_class
made = _exchange_class("kraken")
few = sum(name.startswith("ccxt.") for name in sys.modules)
bases = [base.__module__ for base in made.__mro__]
import ccxt
import ccxt.pro
from ccxt.async_support import okx
found = {
    "few": few,
    "bases": bases,
    "exchanges": len(ccxt.exchanges),
    "pro": len(ccxt.pro.exchanges),
    "version": ccxt.__version__,
    "same": ccxt.pro.kraken in made.__mro__ and ccxt.async_support.kraken in made.__mro__,
    "error": ccxt.NetworkError is sys.modules["ccxt.base.errors"].NetworkError,
    "classes": isinstance(ccxt.kraken, type) and isinstance(okx, type),
    "still": _exchange_class("kraken") is made,
}
print(json.dumps(found))
"""


def run(script: str) -> Any:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_one_exchange_imports_one_class_and_the_rest_on_demand() -> None:
    found = run(SCRIPT)
    assert found["few"] < 40
    assert "ccxt.pro.kraken" in found["bases"] and "ccxt.async_support.kraken" in found["bases"]
    assert found["exchanges"] > 80 and found["pro"] > 60
    assert found["version"].startswith("4.")
    assert found["same"] and found["error"] and found["classes"] and found["still"]


def test_a_ccxt_that_is_there_already_is_left_alone() -> None:
    assert run("import ccxt.pro; before = ccxt.pro.kraken\n" + SCRIPT.replace("few = sum", "few = 0 * sum"))["same"]
