"""The evaluation's arithmetic, and the command on a tiny made-up file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import call_command

from gateway.services.router_eval import Graded, evaluate


def test_a_scorer_that_knows_everything_recovers_the_gap_with_the_first_calls() -> None:
    found = evaluate([Graded(1.0, 0, 1), Graded(0.0, 1, 1)])
    assert (found.apgr, found.cpt50) == (0.75, 0.5)


def test_models_that_do_not_differ_give_no_area() -> None:
    assert evaluate([Graded(1.0, 1, 1)]).apgr is None


def test_the_command_prints_the_result_beside_the_random_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made_up.jsonl"
    texts = {"Explain step by step why this code must fail": 0, "What is the capital of France?": 1}
    records = [
        {"messages": [{"role": "user", "content": text}], "scores": {"s": 1, "w": weak}} for text, weak in texts.items()
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    call_command("router_eval", str(path), "--strong", "s", "--weak", "w")
    told = capsys.readouterr().out
    assert "random 0.500" in told
    assert "made_up.jsonl, 2, 0.500, 1.000, 0.750, 50.0%" in told
