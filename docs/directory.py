"""Write ``plugin-directory.md`` from the plugins that are installed.

python docs/directory.py               what they offer; what the kit said stays as it was
python docs/directory.py --conform     judge them anew, which takes minutes
python docs/directory.py --check       say whether the page is out of date; exit code 1 if it is
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from exgate_core.offers import Offer
from exgate_core.plugins import Catalogue, load_catalogue

PAGE = Path(__file__).resolve().parent / "plugin-directory.md"
OWN = ("exgate-binance", "exgate-ccxt", "exgate-kraken", "exgate-okx", "exgate-paper")
"""The plugins of this repository that offer exchanges."""
FAKES = "exgate.fakes"
NOT_JUDGED = "-"

HEAD = """\
# Plugin directory

<!-- made by docs/directory.py from the plugins of this repository: run that -->

What each plugin offers, as it registers it. `exgate plugins` says the same of your installation, and
`GET /v1/{exchange}/capabilities` tells a program.

| column | meaning |
|---|---|
| public | hooks of the public side; `depth` and `recent_trades` are asked for, the other two are streams |
| private | `all`: balances, place, cancel, list and find orders; `-` = no account |
| lost orders | what a search by client id sees: `full` = open, closed and filled orders; `open` = open ones only |
| digits | `exact` = every digit is the exchange's own; more of exgate-ccxt in [its table](ccxt-exchanges.md) |
| kit | what `exgate conform` said; `waived`: cases about what the exchange lacks; `-`: no fake to judge it by |

"""
TAIL = """\
## Elsewhere

Plugins by others are found on the index under `exgate-...`. This page can't vouch for them, and a plugin is code that
runs with your keys. Run `exgate conform` yourself, which needs no network and no keys, read what the plugin waives, and
how it states its [versions](versions.md). To make your own: [An exchange in fifteen minutes](fifteen-minutes.md);
[exgate-bitstamp](../examples/exgate-bitstamp) was made so.
"""

_PUBLIC = ("depth", "recent_trades", "pull_trade", "pull_depth")
_PRIVATE = ("balances", "place_order", "cancel_order", "pending_orders", "find_order")


def page(catalogue: Catalogue, kit: Mapping[str, str]) -> str:
    """The page; ``kit`` tells what was said of an exchange that ships a fake."""
    parts = [HEAD]
    for report in sorted(catalogue.reports, key=lambda report: report.package):
        offers = [own for offers in catalogue.offers.values() for own in offers if own.distribution == report.package]
        about = metadata.metadata(report.package)["Summary"]
        count = f"; {len(offers)} exchanges" if len(offers) > 1 else ""
        parts.append(f"## {report.package}\n\n{about}. Version {report.version}{count}.\n\n{_table(offers, kit)}\n")
    return "".join(parts) + TAIL


def judged(text: str) -> dict[str, str]:
    """What the page says of the kit: exchange -> last column. Where two plugins offer it, one of them may be judged."""
    rows = re.findall(r"^\| (`[^|]*`) \|.*\| ([^|]*) \|$", text, re.MULTILINE)
    rows.sort(key=lambda row: row[1] != NOT_JUDGED)
    return {name: said for names, said in rows for name in re.findall(r"`([^`]+)`", names)}


def with_fakes() -> set[str]:
    """The exchanges that can be judged: ``paper`` needs no fake."""
    return {point.name for point in metadata.entry_points(group=FAKES)} | {"paper"}


def conform(names: Iterable[str]) -> dict[str, str]:
    """Judge exchanges now: exchange -> what came of it."""
    found = {}
    for name in sorted(names):
        command = [sys.executable, "-m", "exgate_core", "conform", name, "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        [report] = json.loads(done.stdout)["exchanges"]
        counts = Counter(case["result"] for case in report["cases"])
        waived = f", {counts['waived']} waived" if counts["waived"] else ""
        found[name] = f"{counts['failed']} failed" if counts["failed"] else f"passed{waived}"
        sys.stdout.write(f"{name}: {found[name]}\n")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare the page; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conform", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    catalogue, old = load_catalogue(OWN), PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    kit = conform(with_fakes() & set(catalogue.offers)) if options.conform else judged(old)
    new = page(catalogue, kit)
    if options.check:
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    return 0


def _table(offers: Sequence[Offer], kit: Mapping[str, str]) -> str:
    """Exchanges about which the same can be said share a row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for offer in offers:
        said = kit.get(offer.name, NOT_JUDGED) if offer.name in with_fakes() and not offer.trylast else NOT_JUDGED
        rows.setdefault((*_row(offer), said), []).append(offer.name)
    head = "| exchange | public | private | lost orders | digits | kit |\n|---|---|---|---|---|---|\n"
    lines = (f"| {_names(names)} | {' | '.join(cells)} |\n" for cells, names in rows.items())
    return head + "".join(lines)


def _row(offer: Offer) -> Iterator[str]:
    public = [name for name in _PUBLIC if name in offer.operations]
    yield "all" if len(public) == len(_PUBLIC) else ", ".join(public) or "-"
    private = [name for name in _PRIVATE if name in offer.operations]
    yield "all" if len(private) == len(_PRIVATE) else ", ".join(private) or "-"
    yield offer.account_capabilities.order_recovery if private else "-"
    yield "exact" if offer.exchange_capabilities.exact else "not all"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.exit(main())
