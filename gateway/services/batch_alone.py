"""Lines that run by themselves: ordinary completions on their route, a few at a time, at the full price.

The id of a line's completion is written down before it is asked for. A worker that finds one of a dead worker waits
until the ledger has settled it as unknown, and only then asks again: what was spent twice stands in the books twice.
"""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal, InvalidOperation

from gateway.crypto import decrypt_bytes
from gateway.engine.batch import LineOutcome, LineState
from gateway.engine.errors import GatewayError
from gateway.engine.words import CompletionStatus, Operation, Wire
from gateway.models import Batch, BatchLine, Completion
from gateway.services.batch_results import line_done
from gateway.services.batch_turn import Turn, TurnLost
from gateway.services.call import Call, new_request_id
from gateway.services.completion import completion_obtain
from gateway.services.runtime import Runtime, runtime_start, runtime_stop
from gateway.services.work import PlainReply
from gateway.wires import render_error

# Few, so that a batch never crowds out the agents' own requests.
AT_A_TIME = 4
PER_TURN = 200
MAX_TRIES = 6
_WORTH_ANOTHER_TRY = frozenset({429, 502, 503, 504})

_one_runtime_per_process = threading.Lock()


def lines_run_alone(turn: Turn, batch: Batch) -> None:
    """A turn's worth of the batch's lines that are to run by themselves."""
    found = BatchLine.objects.filter(batch=batch, state=LineState.ALONE.value).order_by("alone_tries", "number")
    lines = [line for line in found[:PER_TURN] if not _under_way(line)]
    if not lines or not _one_runtime_per_process.acquire(blocking=False):
        return
    try:
        asyncio.run(_run(turn, batch, lines))
    finally:
        _one_runtime_per_process.release()


def _under_way(line: BatchLine) -> bool:
    """Whether its last try is not settled: its worker died, and the ledger will say so."""
    pending = Completion.objects.filter(pk=line.alone_id, status=CompletionStatus.PENDING.value)
    return bool(line.alone_id) and pending.exists()


async def _run(turn: Turn, batch: Batch, lines: list[BatchLine]) -> None:
    runtime = await runtime_start()
    try:
        for start in range(0, len(lines), AT_A_TIME):
            await asyncio.to_thread(turn.renew)
            some = lines[start : start + AT_A_TIME]
            ended = await asyncio.gather(*(_one(runtime, batch, line) for line in some), return_exceptions=True)
            if any(isinstance(one, TurnLost) for one in ended):
                return
    finally:
        await runtime_stop()


async def _one(runtime: Runtime, batch: Batch, line: BatchLine) -> None:
    request_id = new_request_id()
    await asyncio.to_thread(_begin, line, request_id)
    key = next((one for one in runtime.snapshot.keys.values() if one.id == batch.api_key_id), None)
    if key is None:
        return  # the next sweep ends what no key can ask for
    call = Call(Operation(batch.operation), decrypt_bytes(line.request), {}, key, request_id)
    wire = Wire(batch.wire)
    try:
        reply = await completion_obtain(runtime, call)
    except GatewayError as error:
        line.cost_usd += _cost(error.headers)
        if error.status in _WORTH_ANOTHER_TRY and error.code != "budget_exceeded" and line.alone_tries < MAX_TRIES:
            await asyncio.to_thread(_keep_cost, line)
            return
        status, _, body = render_error(wire, error, request_id)
        await asyncio.to_thread(line_done, wire, line, LineOutcome.ERRORED, status, body)
        return
    assert isinstance(reply, PlainReply)  # no line may stream
    line.cost_usd += _cost(reply.headers)
    await asyncio.to_thread(line_done, wire, line, LineOutcome.SUCCEEDED, 200, reply.body)


def _begin(line: BatchLine, request_id: str) -> None:
    """Raises TurnLost when somebody else has begun it."""
    mine = BatchLine.objects.filter(pk=line.pk, state=LineState.ALONE.value, alone_id=line.alone_id)
    if not mine.update(alone_id=request_id, alone_tries=line.alone_tries + 1):
        raise TurnLost
    line.alone_id, line.alone_tries = request_id, line.alone_tries + 1


def _keep_cost(line: BatchLine) -> None:
    BatchLine.objects.filter(pk=line.pk).update(cost_usd=line.cost_usd)


def _cost(headers: dict[str, str]) -> Decimal:
    try:
        return Decimal(headers.get("x-llmops-cost-usd", "0"))
    except InvalidOperation:
        return Decimal(0)
