"""The engine against a naive second exchange, on random histories. ``proofs/matching.py`` runs more, and shrinks."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from paper_machine import PaperMachine


def test_random_histories_agree_with_a_naive_exchange() -> None:
    run_state_machine_as_test(
        PaperMachine,
        settings=settings(
            max_examples=80,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert PaperMachine.counts["trades"] > 100
