"""Frames of a book that show what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from exgate_ccxt.proofs import proof_for
from exgate_ccxt.windows import stream_limit

from exgate_core.errors import Unavailable, Unimplemented


def okx(previous: int, number: int, action: str = "update") -> dict[str, Any]:
    row = {"asks": [], "bids": [], "prevSeqId": previous, "seqId": number, "checksum": -855196043}
    return {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action, "data": [row]}


def gate(first: int, last: int, full: bool = False) -> dict[str, Any]:
    result = {"s": "ob.BTC_USDT.50", "U": first, "u": last, **({"full": True} if full else {})}
    return {"channel": "spot.obu", "event": "update", "result": result}


def kucoin(first: int, last: int) -> dict[str, Any]:
    return {"topic": "/market/level2:BTC-USDT", "data": {"sequenceStart": first, "sequenceEnd": last}}


WHOLE = {
    "okx": [okx(-1, 10, "snapshot"), okx(10, 12), okx(12, 12), okx(12, 17)],
    "gate": [gate(0, 10, full=True), gate(11, 12), gate(13, 13)],
    "kucoin": [kucoin(5, 7), kucoin(8, 8), kucoin(9, 30)],
}


@pytest.mark.parametrize("name", WHOLE)
def test_frames_that_follow_each_other_pass(name: str) -> None:
    proof = proof_for(name)
    for frame in ({"event": "subscribe"}, "pong", *WHOLE[name]):
        proof(frame)


@pytest.mark.parametrize("name", WHOLE)
def test_a_missing_frame_is_told(name: str) -> None:
    first, _, *rest = WHOLE[name]
    proof = proof_for(name)
    proof(first)
    with pytest.raises(Unavailable, match="missing"):
        for frame in rest:
            proof(frame)


def test_a_new_snapshot_starts_anew() -> None:
    proof = proof_for("okx")
    for frame in (okx(-1, 10, "snapshot"), okx(-1, 3, "snapshot"), okx(3, 4)):
        assert proof(frame) == "-855196043"


def test_of_two_updates_in_one_frame_no_checksum_is_taken() -> None:
    frame = {"arg": {}, "action": "update", "data": [{"checksum": 1}, {"checksum": 2}]}
    assert proof_for("myokx")(frame) == ""


@pytest.mark.parametrize(("name", "levels"), [("gate", 1000), ("kraken", 400), ("bigone", 100)])
def test_a_stream_that_shows_less_than_asked_for_is_not_opened(name: str, levels: int) -> None:
    with pytest.raises(Unimplemented):
        stream_limit(name, levels)
