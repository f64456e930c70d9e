"""The sixteen fault cases, many times faster than they really are; `make faults` tells them in real time."""

from __future__ import annotations

import pytest

from tests.chaos.cases import CASES, RUNS
from tests.chaos.faults import table, try_all
from tests.chaos.fleet import Fleet
from tests.chaos.pace import FAST

pytestmark = [pytest.mark.chaos, pytest.mark.alone, pytest.mark.redis]


async def test_every_fault_ends_as_a_whole_answer_or_a_clear_error_and_with_the_right_conduct(running: Fleet) -> None:
    findings = await try_all(running, FAST)
    assert len(findings) == len(RUNS) == 2 * len(CASES) == 32
    assert not any(finding.problems for finding in findings), table(findings)
