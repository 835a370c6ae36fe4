"""The recorder: everything passes, nothing secret stays; the replayer: what was recorded comes back."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import signal
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import anyio
import pytest
from aiohttp import WSMsgType, web
from click.testing import CliRunner
from exgate_testing.recorder import Recorder, recording
from exgate_testing.recording_commands import record, replay
from exgate_testing.recordings import Recording, find, read
from exgate_testing.recordings_server import served
from exgate_testing.replayer import replaying
from yarl import URL

pytestmark = pytest.mark.anyio

API, STREAM = "https://api.acme.example/v1", "wss://stream.acme.example:9443/ws"


class Clock:
    """Stands still."""

    def time(self) -> float:
        return 1_700_000_000.25

    def time_ns(self) -> int:
        return 1_700_000_000_250_000_000

    def monotonic(self) -> float:
        return 1.0


class Exchange:
    """Behind the recorder: answers each URL's path with ``pages``; on a WebSocket what ``talk`` does."""

    def __init__(self) -> None:
        self.prefix = ""
        self.pages: dict[str, web.Response] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.frames: list[str | bytes] = []
        self.echo = False

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if "websocket" in request.headers.get("Upgrade", "").lower():
            return await self.socket(request)
        body = await request.read()
        self.asked.append((request.method, request.raw_path, dict(request.headers), body))
        if self.echo:
            told = {"path": request.raw_path, "headers": dict(request.headers), "body": body.decode()}
            return web.json_response(told)
        path = request.path.rpartition("/v1")[2]
        return self.pages.get(path) or web.Response(status=404, text="no such page")

    async def socket(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.endswith("/refused"):
            return web.Response(status=429, headers={"Retry-After": "7"})
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        async for message in socket:
            self.frames.append(message.data)
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data[::-1])
            elif message.data == "bye":
                await socket.close(code=1012, message=b"restart")
            else:
                await self.talk(socket, message.data)
        return socket

    async def talk(self, socket: web.WebSocketResponse, text: str) -> None:
        asked = json.loads(text)
        await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
        for topic in asked["params"]:
            for number in range(3):
                await socket.send_str(f'{{"stream":"{topic}","data":{{"p":"1.{number}0","x":"ü"}}}}')


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    it = Exchange()
    runner = web.ServerRunner(web.Server(it.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.prefix = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield it
    await runner.cleanup()


@asynccontextmanager
async def recorded(exchange: Exchange, folder: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, str, Recorder]]:
    async with recording(folder, Clock(), upstream_prefix=exchange.prefix) as (recorder, prefix):
        async with aiohttp.ClientSession(auto_decompress=False) as client:
            yield client, prefix, recorder


def exactly(url: str) -> URL:
    """The URL as it stands."""
    return URL(url, encoded=True)


def session(folder: Path) -> Recording:
    """The only one in a folder."""
    [found] = find(folder)
    return read(found)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_request_and_its_answer_pass_byte_for_byte_and_are_written(exchange: Exchange, tmp_path: Path) -> None:
    body = '{"price": 1.10E-7,  "name":"ü\\u00fc", "big":100532865385255757382218709}\n'.encode()
    exchange.pages["/book"] = web.Response(body=body, content_type="application/json", headers={"X-Weight": "3"})
    exchange.pages["/none"] = web.Response(status=503, headers={"Retry-After": "9"})
    async with recorded(exchange, tmp_path) as (client, prefix, recorder):
        async with client.get(exactly(f"{prefix}{API}/book?symbol=a%2Fb&x=1+2"), headers={"X-Mine": "yes"}) as answer:
            assert (answer.status, await answer.read(), answer.headers["X-Weight"]) == (200, body, "3")
        async with client.post(f"{prefix}{API}/none", data=b'{"a": 1}', headers={"Content-Type": "text/x"}) as answer:
            assert (answer.status, await answer.read()) == (503, b"")
        assert recorder.counts == {"acme": (2, 0)}
    method, path, headers, sent = exchange.asked[0]
    assert (method, path, headers["X-Mine"], sent) == ("GET", f"/{API}/book?symbol=a%2Fb&x=1+2", "yes", b"")
    assert (exchange.asked[1][3], exchange.asked[1][2]["Content-Type"]) == (b'{"a": 1}', "text/x")
    book, none = session(tmp_path).rest
    assert (book.method, book.url, book.status, book.answer) == ("GET", f"{API}/book?symbol=a%2Fb&x=1+2", 200, body)
    assert (book.time, book.private, book.kind) == (1_700_000_000.25, False, "recorded")
    assert (none.method, none.body, none.status, none.headers["retry-after"]) == ("POST", '{"a": 1}', 503, "9")


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)]
)
async def test_a_packed_answer_passes_packed_and_is_written_unpacked(
    exchange: Exchange, tmp_path: Path, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(b'{"a":"1.10"}')
    exchange.pages["/x"] = web.Response(body=packed, headers={"Content-Encoding": encoding})
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        async with client.get(f"{prefix}{API}/x", headers={"Accept-Encoding": "gzip, br, deflate"}) as answer:
            assert (await answer.read(), answer.headers["Content-Encoding"]) == (packed, encoding)
    assert exchange.asked[0][2]["Accept-Encoding"] == "gzip, deflate"
    assert session(tmp_path).rest[0].answer == b'{"a":"1.10"}'


async def test_an_answer_that_is_no_text_comes_back_as_it_was(exchange: Exchange, tmp_path: Path) -> None:
    exchange.pages["/x"] = web.Response(body=b"\xff\x00\x01")
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        await client.get(f"{prefix}{API}/x")
    assert session(tmp_path).rest[0].answer == b"\xff\x00\x01"


async def test_a_redirect_is_passed_on_and_not_followed(exchange: Exchange, tmp_path: Path) -> None:
    exchange.pages["/x"] = web.Response(status=307, headers={"Location": "https://elsewhere.example/"})
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        async with client.post(f"{prefix}{API}/x", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (307, "https://elsewhere.example/")
    assert len(exchange.asked) == 1


async def test_an_exchange_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    async with recording(tmp_path, Clock(), upstream_prefix="http://127.0.0.1:1/") as (recorder, prefix):
        async with aiohttp.ClientSession() as client:
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.post(f"{prefix}{API}/order")
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.ws_connect(f"{prefix}{STREAM}".replace("http", "ws", 1))
        assert recorder.counts == {}


async def test_frames_pass_both_ways_and_are_written(exchange: Exchange, tmp_path: Path) -> None:
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        async with client.ws_connect(f"{prefix}{STREAM}?x=1".replace("http", "ws", 1), autoping=False) as socket:
            await socket.send_str('{"method":"SUBSCRIBE","params":["a@trade"],"id":7}')
            got = [(await socket.receive(5)).data for _ in range(4)]
            await socket.send_bytes(b"\x01\x02")
            assert (await socket.receive(5)).data == b"\x02\x01"
            await socket.ping(b"there?")
            assert (await socket.receive(5)).data == b"there?"
            await socket.send_str("bye")
            closed = await socket.receive(5)
            assert (closed.type, closed.data, closed.extra) == (WSMsgType.CLOSE, 1012, "restart")
    passed = session(tmp_path).frames
    assert [(it.direction, it.url or it.frame) for it in passed] == [
        ("o", f"{STREAM}?x=1"),
        (">", '{"method":"SUBSCRIBE","params":["a@trade"],"id":7}'),
        *(("<", frame) for frame in got),
        (">", b"\x01\x02"),
        ("<", b"\x02\x01"),
        (">", "bye"),
    ]


async def test_a_refused_handshake_is_passed_on(exchange: Exchange, tmp_path: Path) -> None:
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.ws_connect(f"{prefix}{STREAM}/refused".replace("http", "ws", 1))
        assert caught.value.status == 429 and caught.value.headers is not None
        assert caught.value.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("https://api.acme.example/x", {"Host": "evil.example"}, 403),
        ("https://api.acme.example/x", {"Host": "evil.example:9443"}, 403),
        ("https://api.acme.example/x", {"Origin": "https://evil.example"}, 403),
        ("http://169.254.169.254/x", {}, 404),
        ("ftp://api.acme.example/x", {}, 404),
        ("file:///etc/passwd", {}, 404),
        ("x", {}, 404),
        ("https://me:pw@api.acme.example/x", {}, 404),
    ],
)
async def test_it_is_no_proxy_for_others(
    exchange: Exchange, tmp_path: Path, path: str, headers: dict[str, str], status: int
) -> None:
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        async with client.get(f"{prefix}{path}", headers=headers) as answer:
            assert answer.status == status
    assert exchange.asked == [] and find(tmp_path) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", ""])
async def test_it_listens_on_this_machine_only(host: str, tmp_path: Path) -> None:
    async def nothing(request: web.BaseRequest, url: str) -> web.StreamResponse:
        raise AssertionError

    with pytest.raises(ValueError, match="this machine"):
        async with served(nothing, host=host):
            raise AssertionError
    with pytest.raises(ValueError, match="this machine"):
        async with recording(tmp_path, Clock(), host=host):
            raise AssertionError


@pytest.mark.parametrize("verb", [record, replay])
def test_the_verbs_refuse_to_listen_beyond_this_machine(verb: Any, tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text('{"id": "x", "exchange": "x"}')
    result = CliRunner().invoke(verb, [str(tmp_path), "--host", "0.0.0.0", "--port", "0"])
    assert (result.exit_code, "this machine" in result.output) == (2, True)


# -- secrets

KEY, SECRET, PHRASE = "CANARY-key-4711aA", "CANARY-secret/47+11=", "CANARY phrase"
TOKEN, SIGNATURE = "CANARYtoken0123456789abcdef", "CANARY5ignature" * 3
SESSION_KEY = "CANARY" + "a1B2" * 14
MARKS = ("CANARY", "471147114711", base64.b64encode(b"CANARY").decode())

PRIVATE_REQUESTS: dict[str, dict[str, Any]] = {
    "binance": {"url": f"{API}/account?timestamp=1&signature={SIGNATURE}", "headers": {"X-MBX-APIKEY": KEY}},
    "okx": {
        "url": f"{API}/balance",
        "headers": {"OK-ACCESS-KEY": KEY, "OK-ACCESS-SIGN": SIGNATURE, "OK-ACCESS-PASSPHRASE": PHRASE},
    },
    "kraken": {
        "url": f"{API}/private",
        "data": f"nonce=1&otp={PHRASE}",
        "headers": {"API-Key": KEY, "API-Sign": SECRET},
    },
    "key in the query": {"url": f"{API}/x?AccessKeyId={quote(KEY)}&Signature={quote(SECRET, safe='')}&symbol=a"},
    "form": {"url": f"{API}/x", "data": f"apiKey={quote(KEY)}&amount=1&sign={quote(SECRET, safe='')}"},
    "json": {"url": f"{API}/x", "data": json.dumps({"a": [{"api_secret": SECRET, "pass": PHRASE}], "token": TOKEN})},
    "number": {
        "url": f"{API}/x",
        "data": '{"otp": 471147114711, "price": 1.10, "auth":{"pass":"p", "key" : 471147114711}}',
    },
    "bearer": {"url": f"{API}/x", "headers": {"Authorization": f"Bearer {TOKEN}"}},
    "basic": {
        "url": f"{API}/x",
        "headers": {"Authorization": "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()},
    },
    "cookie": {"url": f"{API}/x", "headers": {"Cookie": f"session={TOKEN}"}},
    "own header": {"url": f"{API}/x", "headers": {"X-Acme": f"{KEY}"}},
    "key in the path": {"url": f"{API}/listen/{SESSION_KEY}"},
}


def written(folder: Path) -> str:
    """Everything in the files."""
    return "\n".join(path.read_text() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", PRIVATE_REQUESTS)
@pytest.mark.parametrize("echo", [False, True])
async def test_no_credential_of_a_request_is_written(exchange: Exchange, tmp_path: Path, name: str, echo: bool) -> None:
    exchange.echo = echo
    asked = {"headers": {}, "data": None, **PRIVATE_REQUESTS[name]}
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        method = "POST" if asked["data"] else "GET"
        url = exactly(prefix + asked["url"])
        async with client.request(method, url, headers=asked["headers"], data=asked["data"]) as answer:
            passed = await answer.text()
    assert any(mark in str(exchange.asked) for mark in MARKS), "it went through"
    assert any(mark in passed for mark in MARKS) is echo
    assert not any(mark in written(tmp_path) for mark in MARKS)
    assert len(session(tmp_path).rest) == 1


async def test_what_isnt_secret_in_a_signed_request_is_written(exchange: Exchange, tmp_path: Path) -> None:
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        query = f"symbol=BTCUSDT&price=1.10&newClientOrderId=mine-1&timestamp=5&signature={SIGNATURE}"
        await client.post(f"{prefix}{API}/order?{query}", headers={"X-MBX-APIKEY": KEY})
        await client.post(f"{prefix}{API}/order", data=f'{{"sz": "1.10", "sign":"{SIGNATURE}", "side": "buy"}}')
    order, other = session(tmp_path).rest
    assert order.url == f"{API}/order?symbol=BTCUSDT&price=1.10&newClientOrderId=mine-1&timestamp=5&signature=REDACTED"
    assert order.private and other.private
    assert other.body == '{"sz": "1.10", "sign":"REDACTED", "side": "buy"}'


async def test_no_credential_on_a_websocket_is_written(exchange: Exchange, tmp_path: Path) -> None:
    async def talk(socket: web.WebSocketResponse, text: str) -> None:
        await socket.send_str(text)
        await socket.send_str(json.dumps({"result": {"token": TOKEN, "listenKey": SESSION_KEY}}))
        await socket.send_str(f"your token is {TOKEN}")

    exchange.talk = talk  # type: ignore[method-assign]
    login = {"op": "login", "args": [{"apiKey": KEY, "passphrase": PHRASE, "timestamp": "1", "sign": SECRET}]}
    url = f"{STREAM}/{SESSION_KEY}?token={TOKEN}"
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        async with client.ws_connect(f"{prefix}{url}".replace("http", "ws", 1), headers={"X-Key": KEY}) as socket:
            await socket.send_json(login)
            got = [(await socket.receive(5)).data for _ in range(3)]
    assert json.loads(got[0]) == login and json.loads(exchange.frames[0]) == login
    text = written(tmp_path)
    assert "CANARY" not in text and "REDACTED" in text
    assert json.loads(str(session(tmp_path).frames[1].frame))["op"] == "login"


async def test_a_token_that_an_answer_hands_out_is_not_written(exchange: Exchange, tmp_path: Path) -> None:
    exchange.pages["/token"] = web.json_response({"result": {"token": TOKEN, "expires": 900}})
    exchange.pages["/assets"] = web.json_response({"base": {"token": "BTC", "key": "abc"}})
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        for path in ("/token", "/assets", f"/x/{TOKEN}"):
            await client.get(f"{prefix}{API}{path}")
    token, assets, _ = session(tmp_path).rest
    assert json.loads(token.answer) == {"result": {"token": "REDACTED", "expires": 900}}
    assert json.loads(assets.answer) == {"base": {"token": "BTC", "key": "abc"}}
    assert "CANARY" not in written(tmp_path)


async def test_nobody_else_may_read_the_folder(exchange: Exchange, tmp_path: Path) -> None:
    async with recorded(exchange, tmp_path) as (client, prefix, _):
        await client.get(f"{prefix}{API}/x")
    [folder] = find(tmp_path)
    assert folder.stat().st_mode & 0o077 == 0


# -- and back


async def answers(prefix: str, *requests: tuple[str, str, str]) -> list[tuple[int, bytes]]:
    found = []
    async with aiohttp.ClientSession() as client:
        for method, path, body in requests:
            url = exactly(f"{prefix}{API}{path}")
            async with client.request(method, url, data=body or None) as answer:
                found.append((answer.status, await answer.read()))
    return found


def pages(exchange: Exchange, **texts: str) -> None:
    exchange.pages |= {f"/{name}": web.Response(text=text) for name, text in texts.items()}


async def test_the_same_questions_get_the_same_answers_in_any_order(exchange: Exchange, tmp_path: Path) -> None:
    asked = [
        ("GET", "/book?symbol=A&limit=5", ""),
        ("GET", "/book?symbol=B&limit=5", ""),
        ("GET", "/book?symbol=B&limit=50", ""),
        ("POST", f"/order?symbol=A&timestamp=1&signature={SIGNATURE}", ""),
        ("POST", "/order", '{"instId":"A","sz":1}'),
        ("POST", "/order", "pair=A&nonce=5&volume=1"),
        ("DELETE", "/order/123", ""),
    ]
    async with recorded(exchange, tmp_path) as (_, prefix, _recorder):
        first = []
        for number, one in enumerate(asked):
            pages(exchange, book=f'{{"n":{number}}}', order=f'{{"o":{number}}}', **{"order/123": "done"})
            first += await answers(prefix, one)
    async with replaying([tmp_path]) as (replayer, prefix):
        assert await answers(prefix, *reversed(asked)) == first[::-1]
        later = [
            ("GET", "/book?limit=7&symbol=b", ""),
            ("POST", "/order?signature=other&timestamp=9&symbol=A&recvWindow=5", ""),
            ("POST", "/order", '{"sz":1,"instId":"A","sign":"x"}'),
            ("POST", "/order", "volume=1&nonce=6&pair=A"),
            ("DELETE", "/order/456", ""),
        ]
        assert await answers(prefix, *later) == [first[place] for place in (1, 3, 4, 5, 6)]
        wrong = [
            ("GET", "/book?symbol=C", ""),
            ("GET", "/book", ""),
            ("POST", "/book?symbol=A", ""),
            ("GET", "/no", ""),
        ]
        assert [status for status, _ in await answers(prefix, *wrong)] == [404] * 4
        assert [url for _, url, _ in replayer.missed] == [f"{API}{path}" for _, path, _ in wrong]


async def test_a_question_that_was_asked_again_gets_its_answers_in_turn(exchange: Exchange, tmp_path: Path) -> None:
    async with recorded(exchange, tmp_path) as (_, prefix, _recorder):
        for number in range(3):
            pages(exchange, book=str(number))
            await answers(prefix, ("GET", "/book", ""))
    async with replaying([tmp_path]) as (_, prefix):
        found = await answers(prefix, *[("GET", "/book", "")] * 4)
    assert [body for _, body in found] == [b"0", b"1", b"2", b"2"]


def subscription(*topics: str, number: int = 1, method: str = "SUBSCRIBE") -> str:
    return json.dumps({"method": method, "params": list(topics), "id": number})


async def frames(prefix: str, messages: list[str], count: int) -> list[str]:
    async with aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{prefix}{STREAM}".replace("http", "ws", 1)) as socket:
            for message in messages:
                await socket.send_str(message)
            return [(await socket.receive(5)).data for _ in range(count)]


async def test_subscriptions_are_confirmed_and_played_as_recorded(exchange: Exchange, tmp_path: Path) -> None:
    async with recorded(exchange, tmp_path) as (_, prefix, _recorder):
        first = await frames(prefix, [subscription("a@trade", "b@trade", number=7)], 7)
    async with replaying([tmp_path], speed="max") as (replayer, prefix):
        assert sorted(await frames(prefix, [subscription("a@trade", "b@trade", number=7)], 7)) == sorted(first)
        one_by_one = await frames(prefix, [subscription("b@trade", number=1), subscription("a@trade", number=2)], 8)
        of_b = [frame for frame in one_by_one if "b@trade" in frame]
        assert of_b == [frame for frame in first if "b@trade" in frame]
        assert {frame for frame in one_by_one if '"id"' in frame} == {
            '{"result":null,"id":1}',
            '{"result":null,"id":2}',
        }
        assert len(replayer.streams.messages) == 3


async def test_a_topic_that_was_left_plays_no_more(exchange: Exchange, tmp_path: Path) -> None:
    async with recorded(exchange, tmp_path) as (_, prefix, _recorder):
        await frames(prefix, [subscription("a@trade")], 4)
    async with replaying([tmp_path], speed=2.0) as (_, prefix):
        messages = [subscription("a@trade"), subscription("a@trade", number=2, method="UNSUBSCRIBE")]
        found = await frames(prefix, messages, 2)
        assert [json.loads(frame).get("id") for frame in found if "id" in json.loads(frame)][-1] == 2


@pytest.mark.parametrize(("speed", "kind"), [("real", "real"), ("max", "max"), ("200", "200 a second")])
def test_the_speed_is_understood(speed: str, kind: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(replay, [str(tmp_path), "--speed", speed, "--port", "0"])
    assert (result.exit_code, "no recorded session" in result.output) == (2, True), kind


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan"])
def test_no_other_speed_is(speed: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(replay, [str(tmp_path), "--speed", speed, "--port", "0"])
    assert result.exit_code == 2 and "no recorded session" not in result.output


def test_replayers_of_nothing_say_so(tmp_path: Path) -> None:
    assert "no recorded session" in CliRunner().invoke(replay, [str(tmp_path)]).output


def run_until_asked(verb: str, *arguments: str) -> tuple[str, list[str]]:
    """Start a verb as a user does, ask it one thing, stop it with SIGINT; the answer, and what it said."""
    code = f"from exgate_testing.recording_commands import {verb}; {verb}()"
    command = [sys.executable, "-c", code, *arguments, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        prefix = first.rpartition('upstream_prefix = "')[2].rstrip('"\n')
        try:
            with urllib.request.urlopen(f"{prefix}{API}/x") as answer:
                found = answer.read().decode()
        except OSError as error:
            found = str(error)
        process.send_signal(signal.SIGINT)
        said = [first, *process.stdout.read().splitlines()]
        assert process.wait(10) == 0
    return found, said


async def test_the_verbs_run_until_they_are_told_to_stop(exchange: Exchange, tmp_path: Path) -> None:
    exchange.pages["/x"] = web.Response(text="fine")
    arguments = (str(tmp_path), "--upstream-prefix", exchange.prefix)
    answer, said = await anyio.to_thread.run_sync(run_until_asked, "record", *arguments)
    assert (answer, said[-1]) == ("fine", "acme: 1 requests, 0 frames")
    answer, said = await anyio.to_thread.run_sync(run_until_asked, "replay", str(tmp_path))
    assert (answer, said[-1]) == ("fine", "1 requests, 0 of them not recorded")
