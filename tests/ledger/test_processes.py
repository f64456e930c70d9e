"""Several processes on one database."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.ledger.books import Books, usd

ROOT = Path(__file__).resolve().parents[2]


def hammering(name: str, database: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.ledger.hammer", name, "120"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(database))
    process.stdin.close()
    return process


def test_two_processes_keep_one_budget_and_balance_its_books(database: dict[str, Any], books: Books) -> None:
    processes = [hammering(name, database) for name in ("left", "right")]

    admitted = 0
    for process in processes:
        assert process.stdout is not None
        with process.stdout as answer:
            admitted += int(answer.read())
        assert process.wait() == 0

    assert books.spent + books.reserved <= usd("1.00")
    assert books.count("llmops_completion") == admitted >= 33
    assert books.spent == books.amount("cost_usd", "llmops_completion")
    assert books.spent == books.amount("cost_usd", "llmops_conversation")
    assert books.reserved == books.amount("amount_usd", "llmops_budget_reservation")
