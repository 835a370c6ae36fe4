"""The whole gateway from outside, over HTTP and WebSocket, with the paper exchange's ledger as the judge.

    python tests/proofs/front.py [--short] [--seed N] [--only NAME]

Orders: a hundred at once, SIGTERM with twenty in flight, wrappers that fail after the send. Streams: a stalled reader
among a hundred, 500 connections that come and go, SIGTERM with 200 open. Plugins: exchanges that hang or break beside
one that works, callers with keys of their own. What must never happen ends it with 1, and so does a time far off.
"""

from __future__ import annotations

import argparse
import logging
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.proofs import front_orders, front_plugins, front_streams  # (after the path is set)

PROOFS = {**front_orders.PROOFS, **front_streams.PROOFS, **front_plugins.PROOFS}


def main() -> int:
    """The command line; 1 where a promise doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer rounds and seconds, as many callers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(PROOFS), action="append", help="may be repeated")
    arguments = parser.parse_args()
    logging.disable()
    start, failed = time.monotonic(), []
    print(f"Python {platform.python_version()}, seed {arguments.seed}")
    for name in arguments.only or PROOFS:
        failed += PROOFS[name](arguments.seed, arguments.short)
    print(f"\n{time.monotonic() - start:.0f} s; " + ("every promise held" if not failed else "BROKEN:"))
    print("".join(f"  {line}\n" for line in failed), end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
