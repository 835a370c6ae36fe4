"""Every case of the author's kit on exgate-ccxt, with the fakes that hand-written plugins ship of their exchanges.

    python plugins/exgate-ccxt/tests/proofs/ccxt_conform.py [--short] [EXCHANGE ...]

Prints a line an exchange and each case that failed, was waived or doesn't apply, with the reason. ``--short``: one
exchange. Ends with 1 if a case failed.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conforming import EXCHANGES, WAIVERS, judged
from exgate_testing.judging import counts, judge_all


def main() -> int:
    """Judge, print, and tell by the exit code."""
    logging.getLogger("exgate").setLevel(logging.CRITICAL)
    named = [word for word in sys.argv[1:] if not word.startswith("--")]
    chosen = named or (EXCHANGES[:1] if "--short" in sys.argv else EXCHANGES)
    total = Counter[str]()
    for name in chosen:
        start = time.monotonic()
        verdicts = asyncio.run(judge_all(judged(name), WAIVERS[name]))
        found = counts(verdicts)
        total.update(found)
        told = ", ".join(f"{count} {result}" for result, count in found.items())
        print(f"{name} through exgate-ccxt: {told}; {time.monotonic() - start:.0f} s")
        for verdict in verdicts:
            if verdict.result != "passed":
                print(f"  {verdict.result:15} {verdict.label:24} {verdict.why[:200]}")
    print(f"{total.total()} variants of cases over {len(chosen)} exchanges, {total['failed']} failed")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
