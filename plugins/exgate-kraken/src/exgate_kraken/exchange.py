"""The public side: questions over HTTP, streams over one shared WebSocket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from exgate_core.client import Context
from exgate_core.errors import ExGateError, InvalidArgument, RateLimited
from exgate_core.fetch import bad_answer, decode
from exgate_core.hookspecs import EmitDepth, EmitTrades, hookimpl
from exgate_core.models import Depth, ExchangeCapabilities, Market, Trade

from . import failures, frames, history, parse
from .dialect import KrakenDialect, book_topic, trade_topic
from .settings import KrakenSettings

T = TypeVar("T")

REST = "https://api.kraken.com"
STREAM = "wss://ws.kraken.com/v2"


class Kraken:
    """The public spot data of Kraken."""

    # "Trades": an id is "a sequence number, unique per book"; that none is left out isn't promised, and the document's
    # own example of "Get Recent Trades" leaves out two. "Get Order Book": count up to 500. Public questions: one a
    # second and address (support.kraken.com, "What are the API rate limits?").
    capabilities = ExchangeCapabilities(
        trade_ids="ordered",
        trades_reach=None,
        trades_max=history.PAGE,
        depth_max=500,
        depth_windows=(KrakenSettings().book_depth,),
        depth_rounded=True,
        checksum="crc32-kraken",
        weight_limit=60,
        weight_window=60.0,
    )

    def __init__(self, context: Context) -> None:
        failures.refuse_sandbox(context)
        depth = (context.settings or KrakenSettings()).book_depth
        self.capabilities = replace(Kraken.capabilities, depth_windows=(depth,))
        self._clock, self._budget = context.clock, context.budget
        self._http = context.http(REST)
        self._socket = context.ws(STREAM, KrakenDialect(depth))
        self._marks: defaultdict[str, history.Marks] = defaultdict(history.Marks)

    @hookimpl
    async def markets(self) -> Sequence[Market]:
        """All spot markets, those that take no new orders now as inactive."""
        return parse.markets(await self._get("AssetPairs", parse.PAIRS, {}))

    @hookimpl
    async def depth(self, market: Market, limit: int) -> Depth:
        """The best ``limit`` levels a side, up to 500. Kraken rounds the amounts in these answers."""
        books = await self._get("Depth", parse.DEPTH, {"pair": market.id, "count": str(min(limit, 500))})
        try:
            return parse.depth(market.id, books)
        except ValueError as error:
            raise bad_answer(f"{REST}/0/public/Depth", str(error)) from error

    @hookimpl
    async def recent_trades(self, market: Market, limit: int, since_id: str | None) -> Sequence[Trade]:
        """The newest trades, or the first after ``since_id``, back to a pair's first trade."""
        marks = self._marks[market.id]

        async def ask(since: int | None) -> parse.Page:
            page = await self._page(market, since)
            marks.note(page.trades)
            return page

        if since_id is None:
            return (await ask(None)).trades[-limit:]
        return await history.after(_number(since_id), limit, marks, ask)

    @hookimpl
    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """``trade``: the last 50 trades, then each as it happens; the same ids as ``recent_trades``."""
        symbol, marks = market.symbol, self._marks[market.id]

        def on_frame(frame: bytes) -> None:
            batch = frames.trades(frame, symbol)
            marks.note(batch)
            emit(batch)

        async with self._socket.subscription(trade_topic(symbol), on_frame, lambda: emit(())) as stream:
            emit(())
            await stream.ended()

    @hookimpl
    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """``book``: a snapshot, then changes, each with a checksum of ten levels."""
        symbol, began = market.symbol, False

        def on_frame(frame: bytes) -> None:
            nonlocal began
            for item in frames.book(frame, symbol):
                began = began or isinstance(item, Depth)
                emit(item)

        def alive() -> None:
            if began:
                emit(None)

        async with self._socket.subscription(book_topic(symbol), on_frame, alive) as stream:
            await stream.ended()

    async def _page(self, market: Market, since: int | None) -> parse.Page:
        params = {"pair": market.id} | ({} if since is None else {"since": str(since), "count": str(history.PAGE)})
        result = await self._get("Trades", parse.TRADES, params)
        try:
            return parse.trades(market.id, result)
        except ValueError as error:
            raise bad_answer(f"{REST}/0/public/Trades", str(error)) from error

    async def _get(self, name: str, decoder: msgspec.json.Decoder[parse.Answer[T]], params: dict[str, str]) -> T:
        response = await self._http.request("GET", f"/0/public/{name}", params=params)
        failures.check_status(response)
        answer = decode(response, decoder)
        if failures.stated(answer.error):
            raise self._refusal(answer.error)
        if answer.result is None:
            raise bad_answer(response.url, "neither an error nor a result")
        return answer.result

    def _refusal(self, errors: list[str]) -> ExGateError:
        """Public limits are per address: after one nothing leaves from it for a while."""
        error = failures.of_question(errors, self._clock.time())
        if isinstance(error, RateLimited) and error.retry_after and self._budget is not None:
            self._budget.pause(error.retry_after)
        return error


def _number(since_id: str) -> int:
    if not (since_id.isascii() and since_id.isdecimal()):
        raise InvalidArgument.of("since_id", f"trade ids are integers here, not {since_id[:40]!r}")
    return int(since_id)
