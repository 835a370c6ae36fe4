"""Tokens with limited rights: made, used, capped, slowed and taken back through the command line and HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exgate_core import logs
from exgate_core.cli import main
from exgate_core.errors import FailedPrecondition, RateLimited
from exgate_core.grants import Grants
from exgate_core.plugins import Catalogue, load_catalogue
from exgate_core.rates import Rates
from exgate_core.secrets import Secret, secret_of
from exgate_core.settings import Section

from .support.clock import ManualClock
from .support.serving import serving, settings_for

pytestmark = pytest.mark.anyio

REAL = '''
"""The paper exchange, whose account says that it holds real money."""
from msgspec.structs import replace

from exgate_core import hookimpl
from exgate_paper import PaperAccount, PaperExchange

EXGATE_API = 1


@hookimpl
def register_exchanges(register):
    stated = replace(PaperAccount.capabilities, real=True)
    register("real", exchange=PaperExchange, account=PaperAccount, account_capabilities=stated)
'''


def token(state: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """What ``exgate token ...`` prints as JSON."""
    code = main(["--json", "-s", f"server.state_dir={state}", "token", *arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def refused(state: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and what is said on stderr."""
    code = main(["-s", f"server.state_dir={state}", "token", *arguments])
    return code, capsys.readouterr().err


class Client:
    """Asks a gateway with one token."""

    def __init__(self, session: aiohttp.ClientSession, token: str) -> None:
        self._session, self._headers = session, {"Authorization": f"Bearer {token}"} if token else {}

    async def get(self, path: str) -> tuple[int, str]:
        """Status and reason."""
        async with self._session.get(path, headers=self._headers) as answer:
            return answer.status, answer.headers.get("ExGate-Reason", "")

    async def head(self, path: str) -> int:
        """The status of the same asked with HEAD."""
        async with self._session.head(path, headers=self._headers) as answer:
            return answer.status

    async def order(self, **body: Any) -> tuple[int, str, str]:
        """Status, reason and outcome."""
        async with self._session.post("/v1/real/order", json=body, headers=self._headers) as answer:
            return answer.status, answer.headers.get("ExGate-Reason", ""), answer.headers["ExGate-Outcome"]


@asynccontextmanager
async def gateway(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A gateway in front of an account that says that it is real."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "real.py").write_text(REAL)
    catalogue: Catalogue = load_catalogue(("exgate-paper",), tmp_path / "plugins")
    section = Section(exchange="real", trading=True, api_key=Secret("the-key"), api_secret=Secret("the-secret"))
    async with serving(settings_for(tmp_path / "state", real=section), catalogue) as served:
        async with aiohttp.ClientSession(served.url) as session:
            yield session


async def test_a_token_does_what_it_was_given_for_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    async with gateway(tmp_path) as session:
        own = Client(session, token(state, "show", capsys=capsys)["token"])
        reader = Client(session, token(state, "new", "reader", capsys=capsys)["token"])
        trader = Client(session, token(state, "new", "trader", "--allow", "real:trade", capsys=capsys)["token"])
        other = Client(session, token(state, "new", "other", "--allow", "paper:trade", capsys=capsys)["token"])
        limit = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "10.00", "amount": "1"}
        for client, read, trade in (
            (own, 200, 200), (reader, 200, 403), (trader, 200, 200), (other, 403, 403), (Client(session, ""), 401, 401),
        ):  # fmt: skip
            assert (await client.get("/v1/real/balances"))[0] == read
            status, reason, outcome = await client.order(**limit)
            assert (status, outcome) == (trade, "placed" if trade == 200 else "refused")
            assert reason == {200: "", 403: "TOKEN_SCOPE", 401: "UNAUTHENTICATED"}[trade]
        assert await own.get("/v1/real/depth?symbol=BTC/USDT") == (200, "")
        main(["-s", f"server.state_dir={state}", "token", "revoke", "trader"])
        assert (await trader.get("/v1/real/balances"))[0] == 401


async def test_head_asks_the_guard_like_get_and_opens_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    paths = [f"/v1/real/{operation}" for operation in ("balances", "pending_orders", "order?order_id=1")]
    async with gateway(tmp_path) as session:
        reader = Client(session, token(state, "new", "reader", capsys=capsys)["token"])
        other = Client(session, token(state, "new", "other", "--allow", "paper:trade", capsys=capsys)["token"])
        for client, status in (
            (reader, 200),
            (other, 403),
            (Client(session, "wrong"), 401),
            (Client(session, ""), 401),
        ):
            assert [await client.head(path) for path in paths] == [status] * 3
        assert await Client(session, "").head("/v1/real/depth") == 200
        main(["-s", f"server.state_dir={state}", "token", "revoke", "reader"])
        assert [await reader.head(path) for path in paths] == [401] * 3


CAPPED: Sequence[tuple[dict[str, str], dict[str, str], bool]] = (
    ({"side": "buy", "type": "limit", "price": "10.00", "amount": "10"}, {}, True),
    ({"side": "buy", "type": "limit", "price": "10.01", "amount": "10"}, {}, False),
    (
        {"side": "sell", "type": "limit", "price": "0.01", "amount": "0.01"},
        {},
        False,
    ),  # it sells at the best bid
    ({"side": "sell", "type": "limit", "price": "99000000.00", "amount": "0.00001"}, {}, False),
    ({"side": "buy", "type": "market"}, {"quote_amount": "100"}, True),
    ({"side": "buy", "type": "market"}, {"quote_amount": "100.01"}, False),
    ({"side": "buy", "type": "market", "amount": "0.0001"}, {}, False),  # what it pays isn't certain
    ({"side": "sell", "type": "market", "amount": "0.001"}, {}, True),
    ({"side": "sell", "type": "market", "amount": "0.01"}, {}, False),
    ({"side": "buy", "type": "limit", "price": "10.00", "amount": "1"}, {"round": "true"}, False),
)


async def test_an_order_above_the_cap_is_refused_and_so_is_one_that_may_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    async with gateway(tmp_path) as session:
        bot = Client(session, token(
            state, "new", "bot", "--allow", "*:trade", "--max-order", "USDT=100", capsys=capsys
        )["token"])  # fmt: skip
        for body, options, allowed in CAPPED:
            status, reason, outcome = await bot.order(symbol="BTC/USDT", **body, options=options)
            wanted = (200, "", "placed") if allowed else (403, "ORDER_CAP", "refused")
            assert (status, reason, outcome) == wanted, (body, options)
        elsewhere = {"side": "buy", "type": "limit", "price": "0.01", "amount": "1"}
        assert await bot.order(symbol="ETH/BTC", **elsewhere) == (403, "ORDER_CAP", "refused")


async def test_a_cap_says_nothing_about_an_order_that_was_sent_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    limit = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "10.00", "amount": "1"}
    async with gateway(tmp_path) as session:
        made = token(state, "new", "bot", "--allow", "*:trade", "--max-order", "BTC=1", capsys=capsys)["token"]
        told = []
        for key in ("one", "one", "two"):
            headers = {"Authorization": f"Bearer {made}", "Idempotency-Key": key}
            async with session.post("/v1/real/order", json=limit, headers=headers) as answer:
                body = await answer.json()
                told.append((answer.status, answer.headers["ExGate-Outcome"], body.get("order_id")))
            (state / "tokens.json").write_text((state / "tokens.json").read_text().replace('"1"', '"0.5"'))
        first, again, another = told
        assert first[:2] == (200, "placed") and again == first
        assert another == (403, "refused", None)


async def test_every_private_call_leaves_one_line_that_names_caller_and_outcome(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "exgate.audit")
    async with gateway(tmp_path) as session:
        made = token(tmp_path / "state", "new", "bot", "--allow", "real:read", capsys=capsys)["token"]
        bot = Client(session, made)
        await bot.get("/v1/real/balances")
        await bot.get("/v1/real/depth?symbol=BTC/USDT")
        await bot.order(symbol='BTC/USDT\n"x', side="buy", type="limit", price="1", amount="1")
        await Client(session, "").get("/v1/real/balances")
    lines = [record.getMessage() for record in caplog.records if record.name == "exgate.audit"]
    assert lines == [
        "SpotBalances exchange=real caller=bot status=200",
        "SpotPlaceOrder exchange=real caller=bot status=403 outcome=refused reason=TOKEN_SCOPE",
        "SpotBalances exchange=real caller=- status=401 reason=UNAUTHENTICATED",
    ]
    assert made not in caplog.text


async def test_a_caller_with_keys_of_its_own_is_named_by_a_hash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "exgate.audit")
    keys = {"X-ExGate-Key": "a-key-of-mine", "X-ExGate-Secret": "a-secret-of-mine"}
    async with gateway(tmp_path) as session:
        for _ in range(2):
            async with session.get("/v1/real/balances", headers=keys) as answer:
                assert answer.status == 200
    first, second = (record.getMessage() for record in caplog.records if record.name == "exgate.audit")
    assert re.fullmatch(r"SpotBalances exchange=real caller=keys:[0-9a-f]{12} status=200", first)
    assert first == second and "of-mine" not in caplog.text


async def test_a_stream_and_a_private_call_count_once_against_the_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with gateway(tmp_path) as session:
        for name in ("watcher", "reader"):
            made = token(tmp_path / "state", "new", name, "--rate", "0.001", capsys=capsys)["token"]
            headers = {"Authorization": f"Bearer {made}"}
            if name == "watcher":
                async with session.ws_connect("/v1/paper/pull_trade?symbol=BTC/USDT", headers=headers) as stream:
                    assert (await stream.receive_json())["symbol"] == "BTC/USDT"
            else:
                assert (await Client(session, made).get("/v1/real/balances"))[0] == 200
            assert await Client(session, made).get("/v1/real/balances") == (429, "CALLER_RATE")


async def test_a_caller_is_slowed_and_told_when_to_come_again() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    for _ in range(4):
        rates.take("bot", 4)
    with pytest.raises(RateLimited) as caught:
        rates.take("bot", 4)
    assert caught.value.retry_after == pytest.approx(0.25)
    rates.take("other", 4)
    await clock.advance(0.25)
    rates.take("bot", 4)


def test_what_can_be_no_token_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path = tmp_path / "not" / "there" / "yet"
    token(tmp_path, "new", "bot", capsys=capsys)
    for arguments, code, word in (
        (("new", "bot"), 3, "revoke it first"),
        (("new", "owner"), 3, "name"),
        (("new", "Bot 2"), 3, "name"),
        (("new", "b", "--allow", "main:all"), 3, "EXCHANGE:read"),
        (("new", "b", "--max-order", "USDT=-5"), 3, "ASSET=AMOUNT"),
        (("new", "b", "--max-order", "USDT"), 2, "KEY=VALUE"),
        (("new", "b", "--rate", "-1"), 2, "rate"),
        (("revoke", "nobody"), 4, "nobody"),
    ):
        found = refused(tmp_path, *arguments, capsys=capsys)
        assert found[0] == code and word in found[1], (arguments, found)
    assert [row["name"] for row in token(tmp_path, "list", capsys=capsys)] == ["bot"]


def test_only_digests_are_kept_and_only_their_owner_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path = tmp_path / "not" / "yet"
    made = token(tmp_path, "new", "bot", capsys=capsys)["token"]
    file = tmp_path / "tokens.json"
    assert tmp_path.stat().st_mode & 0o777 == 0o700 and file.stat().st_mode & 0o777 == 0o600
    assert made not in file.read_text() and len(made) == 43, "256 bits"
    assert made not in json.dumps(token(tmp_path, "list", capsys=capsys))
    grants = Grants(tmp_path)
    assert len(grants.digests()) == 1
    assert grants.digests() is grants.digests(), "read once"
    file.chmod(0o644)
    assert grants.digests() == {}
    with pytest.raises(FailedPrecondition, match="others can read"):
        grants.read()
    file.chmod(0o600)
    assert len(grants.digests()) == 1
    for text in ("[{", '[{"name": "bot", "scope": "all"}]'):
        file.write_text(text)
        assert grants.digests() == {}
        with pytest.raises(FailedPrecondition, match="can't be read"):
            grants.read()


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"digest": "x" * 64}, "digest"),
        ({"digest": "ab"}, "digest"),
        ({"digest": ""}, "digest"),
        ({"digest": "é" * 64}, "digest"),
        ({"digest": "a b" + "0" * 61}, "digest"),
        ({"name": "owner"}, "name"),
        ({"name": "not a name"}, "name"),
        ({"allow": ["main:all"]}, "allow"),
        ({"max_order": {"USDT": "1e5"}}, "max_order"),
        ({"max_order": {"USDT": "0"}}, "max_order"),
        ({"rate": -1}, "rate"),
        ({"rate": 1e308, "name": "old"}, "twice"),
        ({"digest": hashlib.sha256(b"old").hexdigest()}, "twice"),
    ],
)
async def test_one_entry_that_cant_be_trusted_lets_nobody_in(
    entry: dict[str, Any], word: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "state" / "tokens.json"
    old = {"name": "old", "digest": hashlib.sha256(b"old").hexdigest(), "allow": ["*:trade"]}
    new = {"name": "new", "digest": hashlib.sha256(b"new").hexdigest(), **entry}
    async with gateway(tmp_path) as session:
        file.touch(0o600)
        file.write_text(json.dumps([old]))
        assert (await Client(session, "old").get("/v1/real/balances"))[0] == 200
        file.write_text(json.dumps([old, new]))
        for _ in range(2):
            assert await Client(session, "old").get("/v1/real/balances") == (401, "UNAUTHENTICATED")
        (line,) = [record.getMessage() for record in caplog.records if record.name == "exgate.access"]
        assert "entry 2" in line and word in line
        file.write_text(json.dumps([old]))
        assert (await Client(session, "old").get("/v1/real/balances"))[0] == 200


def test_a_secret_is_struck_out_of_lines_arguments_and_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    key, secret = Secret("k3y-of-an-account"), secret_of("s3cr3t/with+odd=chars", "here")
    assert secret.reveal() and key.reveal()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter())
    log = logging.getLogger("somebody.else")
    log.addHandler(handler)
    try:
        log.error("url ?apiKey=k3y-of-an-account&s=s3cr3t%%2Fwith%%2Bodd%%3Dchars %s", "s3cr3t/with+odd=chars")
        log.error("Authorization: Bearer abcdefghijklmnopqrstuvwxyz\nforged line")
        try:
            raise ValueError("key k3y-of-an-account is wrong")
        except ValueError:
            log.exception("it broke")
    finally:
        log.removeHandler(handler)
    written = stream.getvalue()
    for text in ("k3y-of", "s3cr3t", "abcdefghij"):
        assert text not in written
    assert written.count("***") >= 5
    assert "\nforged" not in written
