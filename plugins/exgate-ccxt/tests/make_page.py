"""Write ``docs/ccxt-exchanges.md`` from the plugin's table: ``python3 dev.py python`` with this file."""

from __future__ import annotations

import sys
from pathlib import Path

import exgate_ccxt
from exgate_ccxt.streams import is_polled
from exgate_ccxt.table import Row, rows

from exgate_core.models import AccountCapabilities
from exgate_core.offers import Offer, Registrar

PAGE = Path(__file__).parents[3] / "docs" / "ccxt-exchanges.md"

RECORDED = frozenset({"binance", "binanceus", "bitstamp", "coinbase", "coinbaseexchange", "kraken", "okx"})
"""Exchanges of which there is recorded traffic."""
DOCUMENTED = frozenset(path.stem for path in (Path(__file__).parent / "documents").glob("*.toml"))

HEAD = """# Which promise holds on which exchange

Made from the table of exgate-ccxt by `plugins/exgate-ccxt/tests/make_page.py`; a test compares it. Exchanges that have
a plugin of their own are served by that one where it can, and may promise more there.

"""

MEANINGS = {
    "digits": "`exact`: book and trade came back to the last digit and zero when the table was made; "
    "tried again whenever the exchange opens. Else what did not",
    "tried with": "`recordings` of the exchange; `documents`: answers of the shapes that its documents show, in every "
    "operation, with errors and the words for what became of an order; `-`: a book and a trade alone",
    "book": "`stream`, or `asked` where `isLocal=true` asks the exchange; "
    "the most levels a side that one answer holds; `-` = none",
    "trades": "`stream`; `polled` where `pull_trade` asks again and again; `not asked for` where there is no "
    "`recent_trades`; `-` = none",
    "trade ids": "`contiguous` and `ordered` ids let a cut stream be filled up from the newest page (its size in "
    "brackets); after a cut longer than that, and with `opaque` ids, a gap frame says so",
    "lost orders": "what `find_order` sees by client id: `full` = open, closed and filled ones; `open` = open ones and "
    "closed ones as far as a list or own trades show them: finding nothing proves nothing; `none`: needs "
    "`accept_unrecoverable = true` to trade",
    "orders": "types; `post` = `post_only`; `quote` = `quote_amount` for market buys; `-` = not served",
    "symbol needed": "operations that can't do without a symbol",
}


def page() -> str:
    """The whole page."""
    registrar = Registrar("exgate-ccxt", "", "exgate_ccxt")
    exgate_ccxt.register_exchanges(registrar)
    offers = {offer.name: offer for offer in registrar.offers}
    meanings = ["| column | meaning |", "|---|---|", *(f"| {name} | {text} |" for name, text in MEANINGS.items())]
    head = f"| exchange | {' | '.join(MEANINGS)} |"
    lines = [_line(row, offers[row.id]) for row in rows()]
    exact = sum(offer.exchange_capabilities.exact for offer in offers.values())
    count = f"{len(lines)} exchanges; digits are exact on {exact} of them."
    return HEAD + "\n".join([*meanings, "", count, "", head, "|" + "---|" * 9, *lines]) + "\n"


def _line(row: Row, offer: Offer) -> str:
    public, private = offer.exchange_capabilities, offer.account_capabilities
    ids = public.trade_ids + (f" ({public.trades_reach})" if public.trades_reach else "")
    served = offer.operations
    book = f"{'stream' if 'pull_depth' in served else 'asked'}, {public.depth_max}" if "depth" in served else "-"
    watched = "-" if "pull_trade" not in served else "polled" if is_polled(row) else "stream"
    asked = "" if "recent_trades" in served or watched == "-" else ", not asked for"
    trading = "place_order" in offer.operations
    cells = [
        f"`{row.id}` {row.name}",
        _digits(row),
        "recordings" if row.id in RECORDED else "documents" if row.id in DOCUMENTED else "-",
        book,
        watched + asked,
        ids if watched != "-" else "-",
        private.order_recovery if trading else "-",
        _orders(private) if trading else "-",
        ", ".join(sorted(private.symbol_needed)) if trading else "-",
    ]
    return "| " + " | ".join(cells) + " |"


def _digits(row: Row) -> str:
    parts = [("book", row.fetch_order_book, row.exact_depth), ("trades", row.fetch_trades, row.exact_trades)]
    wrong = [name for name, served, exact in parts if served and not exact]
    return f"not of {' and '.join(wrong)}" if wrong else "exact"


def _orders(private: AccountCapabilities) -> str:
    more = [name for name, has in (("post", private.post_only), ("quote", private.quote_amount)) if has]
    return ", ".join([*sorted(private.order_types), *more])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
