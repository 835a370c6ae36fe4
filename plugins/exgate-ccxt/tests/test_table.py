"""The generated table says what the installed ccxt says, and listing exchanges imports no ccxt."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from exgate_ccxt.limits import BOOK_TIMES, CONTIGUOUS, DEPTH_MAX, DEPTH_SIZES, ORDERED, TRADES_MAX, WHOLE
from exgate_ccxt.table import depth_argument, exchange_capabilities, rows
from recorded import MARKETS

from exgate_core.plugins import load_catalogue
from exgate_core.settings import Section

pytest.importorskip("ccxt")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_ccxt_says() -> None:
    module = script("make_table")
    assert module.TABLE.read_bytes() == module.encoded(), "run tests/make_table.py"


def test_the_page_of_promises_is_what_the_plugin_says() -> None:
    module = script("make_page")
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run tests/make_page.py"
    assert module.RECORDED == set(MARKETS)


def test_the_canary_is_exact_on_nearly_all() -> None:
    served = [row for row in rows() if row.fetch_order_book]
    books = [row.id for row in served if row.exact_depth]
    traded = [row for row in rows() if row.fetch_trades]
    trades = [row.id for row in traded if row.exact_trades]
    missing = sorted({row.id for row in rows()} - {row.id for row in rows() if exchange_capabilities(row.id).exact})
    print(f"books exact on {len(books)} of {len(served)}, trades on {len(trades)} of {len(traded)}; not: {missing}")  # noqa: T201
    assert len(books) >= 84 and len(trades) >= 79


def test_every_name_in_the_hand_written_lists_exists() -> None:
    known = {row.id for row in rows()}
    for names in (DEPTH_SIZES, DEPTH_MAX, TRADES_MAX, WHOLE, BOOK_TIMES, CONTIGUOUS, ORDERED):
        assert set(names) <= known


def test_a_size_that_the_exchange_takes_is_asked_for() -> None:
    assert depth_argument("kucoin", 21) == 100
    assert depth_argument("kucoin", 5000) == 100
    assert depth_argument("htx", 1) == 5
    assert depth_argument("binance", 777) == 777
    assert depth_argument("okx", 5000) == 400


def test_hand_written_plugins_go_first_and_credentials_need_a_name() -> None:
    pytest.importorskip("exgate_binance", reason="nothing hand-written is installed beside exgate-ccxt")
    catalogue = load_catalogue()
    for name in ("binance", "binanceus"):
        assert [offer.distribution for offer in catalogue.public(name)] == ["exgate-binance", "exgate-ccxt"]
    assert [offer.distribution for offer in catalogue.public("bitstamp")] == ["exgate-ccxt"]
    assert catalogue.private("main", Section(exchange="bitstamp")).distribution == "exgate-ccxt"


def test_what_ccxt_cannot_do_is_not_offered() -> None:
    offers = {name: found[-1] for name, found in load_catalogue(["exgate-ccxt"]).offers.items()}
    lacks = {
        "blockchaincom": {"recent_trades"},
        "coinbaseinternational": {"recent_trades", "pull_depth"},
        "coinspot": {"depth", "recent_trades", "pull_trade", "pull_depth", "pending_orders", "place_order"},
        "derive": {"depth", "pull_depth"},
        "hyperliquid": {"recent_trades", "place_order", "cancel_order", "find_order"},
        "onetrading": {"recent_trades", "pull_trade"},
        "p2b": {"recent_trades"},
        "paymium": {"pending_orders", "pull_depth"},
        "zaif": {"pull_depth"},
    }
    for name, absent in lacks.items():
        assert not absent & offers[name].operations, name
    whole = {"markets", "depth", "recent_trades", "pull_trade", "pull_depth", "balances", "place_order", "cancel_order"}
    for name in ("binance", "kraken", "okx", "gate"):
        assert whole <= offers[name].operations, name
    for row in rows():
        served = offers[row.id].operations
        assert ("depth" in served, "recent_trades" in served) == (row.fetch_order_book, row.fetch_trades), row.id
        assert "recent_trades" not in served or "pull_trade" in served, row.id
    print("served of", len(rows()), Counter(name for row in rows() for name in offers[row.id].operations))  # noqa: T201


LISTING = """
import json, sys, time
from exgate_core.plugins import load_catalogue
began = time.perf_counter()
catalogue = load_catalogue(["exgate-ccxt"])
took = time.perf_counter() - began
loaded = sorted(name for name in ("ccxt", "aiohttp", "requests", "orjson") if name in sys.modules)
refused = [report.refused for report in catalogue.reports if report.refused]
print(json.dumps({"names": len(catalogue.offers), "loaded": loaded, "refused": refused, "took": took}))
"""


def test_listing_exchanges_imports_no_ccxt() -> None:
    done = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    print(found)  # noqa: T201
    assert found["loaded"] == []
    assert found["refused"] == []
    assert found["names"] >= len(rows())


def test_a_book_claims_no_more_levels_than_its_stream_keeps_and_checks_what_is_sent() -> None:
    kraken, okx, binance = (exchange_capabilities(name) for name in ("kraken", "okx", "binance"))
    assert (kraken.depth_windows[-1], kraken.checksum) == (1000, "crc32-kraken")
    assert (kraken.depth_rounded, okx.depth_rounded) == (True, False)
    assert (okx.depth_windows, okx.checksum) == ((400,), "crc32-okx")
    assert (binance.depth_windows, binance.checksum) == ((), "")
