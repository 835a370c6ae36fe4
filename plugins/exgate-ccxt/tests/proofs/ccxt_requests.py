"""The six REST operations of every spot exchange of ccxt, built over a market of no exchange and read by the check.

    python plugins/exgate-ccxt/tests/proofs/ccxt_requests.py [ID ...]

Prints one line an exchange: ``ok`` = a correct request is built; ``-`` = declared absent, the reason below the table.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from exgate_ccxt.arguments import intent_of
from exgate_ccxt.facts import facts
from exgate_ccxt.request_check import Mismatch, check, hosts_of
from exgate_ccxt.sent import take_apart
from exgate_ccxt.wordings import wording_of
from make_facts import MARKET, Caught, cancel, exchange, outcome

READS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "depth": ("fetch_order_book", ("BTC/USDT", 20)),
    "recent_trades": ("fetch_trades", ("BTC/USDT",)),
    "balances": ("fetch_balance", ()),
    "pending_orders": ("fetch_open_orders", ("BTC/USDT",)),
}
OF_A_MARKET = ("depth", "recent_trades")


async def read(exchange_id: str, operation: str) -> str:
    """Empty = a correct request; else why not."""
    made, (name, arguments) = exchange(exchange_id), READS[operation]
    if not made.has.get({"depth": "fetchOrderBook", "recent_trades": "fetchTrades"}.get(operation, _has(name))):
        return f"ccxt has no {_has(name)} there"
    try:
        await getattr(made, name)(*arguments)
        return "no request was built"
    except Caught:
        url, method, headers, body = made.caught[-1]
        hosts = hosts_of(made.urls["api"], made.hostname or "")
        intent = intent_of("read", exchange_id, MARKET, made.markets["BTC/USDT"])
        try:
            check(intent, wording_of(exchange_id), hosts, url, method, headers, body)
        except Mismatch as mismatch:
            return f"{mismatch.message} <- {method} {url[:100]}"
        names = {form.casefold() for form in (*intent.ids, *intent.base_ids)}
        sent = take_apart(url, method, headers, body)
        texts = [*sent.segments, *(leaf.value for leaf in sent.leaves)]
        named = any(form in text.casefold() for text in texts for form in names)
        return "" if named or operation not in OF_A_MARKET else f"the market isn't in it <- {method} {url[:100]}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:100]}"
    finally:
        await made.close()


def _has(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


async def row(exchange_id: str) -> dict[str, str]:
    """Operation -> why not."""
    fact = facts()[exchange_id]
    reads = {operation: await read(exchange_id, operation) for operation in READS}
    placed = fact.absent or await outcome(exchange_id, "limit", client_id=fact.client_ids)
    return {**reads, "order": placed, "cancel": fact.absent or await cancel(exchange_id)}


async def run(ids: list[str]) -> None:
    """Print the table and the reasons."""
    absent, good = list[str](), dict.fromkeys((*READS, "order", "cancel"), 0)
    print(f"{'':22}" + "".join(f"{operation:16}" for operation in good))
    for exchange_id in ids:
        why = await row(exchange_id)
        print(f"{exchange_id:22}" + "".join(f"{'-' if reason else 'ok':16}" for reason in why.values()))
        for operation, reason in why.items():
            good[operation] += not reason
        absent += [f"{exchange_id} {operation}: {reason}" for operation, reason in why.items() if reason]
    print(f"{f'of {len(ids)}':22}" + "".join(f"{count:<16}" for count in good.values()))
    print("\n".join(absent))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    asyncio.run(run(sys.argv[1:] or list(facts())))
