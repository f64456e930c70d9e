"""The short form of `python -m bench.batches`: killed workers lose no line of a batch and send none twice."""

from __future__ import annotations

from pathlib import Path

from bench.batches import proof


def test_a_worker_killed_twice_leaves_one_result_per_line_and_balanced_books(tmp_path: Path) -> None:
    faults, _ = proof(tmp_path, lines=200, celery=False)
    assert faults == []
