"""A line's one result: written once, whatever is repeated."""

from __future__ import annotations

from gateway.crypto import encrypt_bytes
from gateway.engine.batch import LineOutcome, LineState
from gateway.engine.errors import GatewayError
from gateway.engine.words import Wire
from gateway.models import BatchLine
from gateway.services.batch_views import line_result
from gateway.wires import render_error


def line_fail(wire: Wire, line: BatchLine, error: GatewayError) -> None:
    """The error is the line's result."""
    status, _, body = render_error(wire, error, line.completion_id)
    line_done(wire, line, LineOutcome.ERRORED, status, body)


def line_done(wire: Wire, line: BatchLine, outcome: LineOutcome, status: int | None, body: bytes) -> None:
    """Give a line its one result; one that has a result keeps it."""
    before = line.state
    line.state, line.outcome, line.http_status = LineState.DONE.value, outcome.value, status
    line.result = encrypt_bytes(body) if body else b""
    line.size_bytes = len(line_result(wire, line))
    BatchLine.objects.filter(pk=line.pk, state=before).update(
        state=line.state,
        outcome=line.outcome,
        http_status=status,
        result=line.result,
        size_bytes=line.size_bytes,
        cost_usd=line.cost_usd,
        alone_id=line.alone_id,
    )
