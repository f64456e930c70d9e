"""What is remembered of requests that were refused before their intent: one row each, in a flood one per kind.

The writer writes them in the background; a refusal never waits for its row. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gateway.engine.clock import Clock
from gateway.engine.errors import BudgetExceeded, DeadlineExceeded, GatewayError, InvalidRequest, LedgerUnavailable
from gateway.engine.words import CompletionStatus
from gateway.ledger.admission import NotGranted
from gateway.ledger.records import Refusal
from gateway.metrics import refusal_counted
from gateway.services.call import Call
from gateway.services.conversation import conversation_id
from gateway.services.snapshot import Snapshot
from gateway.wires import ParsedRequest

logger = logging.getLogger("gateway.refusals")

# Beyond so many a second, refusals of one key with one code share a row until the minute is over.
ROWS_PER_SECOND = 20
COUNTED_SECONDS = 60.0
_MOST_KINDS = 1_000
_Kind = tuple[int, str]  # key's id, error's code


@dataclass(slots=True)
class _Counted:
    first: Refusal
    times: int = 1


class Refusals:
    """`note` gives a row to the writer."""

    def __init__(self, note: Callable[[Refusal], None], clock: Clock) -> None:
        self._note = note
        self._clock = clock
        self._second = 0
        self._in_second = 0
        self._counted: dict[_Kind, _Counted] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, snapshot: Snapshot, call: Call, parsed: ParsedRequest | None, error: GatewayError) -> None:
        """Remember that `call` was refused with `error`; `parsed` is None where its body was not even read."""
        refusal_counted(error.code)
        refusal = _refusal(snapshot, call, parsed, error)
        if self._has_room_for_a_row():
            self._note(refusal)
            return
        kind = (call.key.id, error.code)
        if (counted := self._counted.get(kind)) is not None:
            counted.times += 1
        elif len(self._counted) < _MOST_KINDS:
            self._counted[kind] = _Counted(refusal)
        else:
            logger.warning("request %s was refused (%s): too many kinds to count", refusal.id, error.code)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COUNTED_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what has been counted, one row per kind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counted, self._counted = self._counted, {}
        for one in counted.values():
            self._note(one.first if one.times == 1 else _together(one))

    def _has_room_for_a_row(self) -> bool:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second <= ROWS_PER_SECOND


def _together(counted: _Counted) -> Refusal:
    first, more = counted.first, counted.times - 1
    return replace(
        first,
        id=f"refused_{secrets.token_hex(12)}",
        error_message=f"{first.error_message} ({counted.times} requests within a minute share this row.)",
        decision={**first.decision, "refused_alike": counted.times, "first_request": first.id, "more": more},
    )


def _refusal(snapshot: Snapshot, call: Call, parsed: ParsedRequest | None, error: GatewayError) -> Refusal:
    key, model = call.key, parsed.model if parsed else ""
    route = snapshot.routes.get(model)
    # A ledger that can't be reached, or a first request that takes too long, is no refusal: it counts against us.
    ours = isinstance(error, LedgerUnavailable | DeadlineExceeded)
    return Refusal(
        id=call.request_id,
        at=datetime.now(UTC),
        surface=call.operation.surface,
        operation=call.operation.value,
        stream=parsed is not None and parsed.stream,
        requested_model=model[:200],
        route_id=route.id if route else None,
        route_name=route.name if route else "",
        api_key_id=key.id,
        api_key_name=key.name,
        team_id=key.team_id,
        team_name=key.team_name or "",
        conversation=_conversation(call, parsed),
        status=CompletionStatus.FAILED if ours else CompletionStatus.REFUSED,
        http_status=error.status,
        error_code=error.code,
        error_message=error.message[:1000],
        decision=_decision(error),
    )


def _decision(error: GatewayError) -> dict[str, Any]:
    """What its page explains: the budget that was full, or the targets without a price."""
    if isinstance(error, BudgetExceeded):
        return _budget_decision(error)
    return {"unpriced": error.details["unpriced"]} if error.details.get("unpriced") else {}


def _budget_decision(error: BudgetExceeded) -> dict[str, Any]:
    """What the client was told, and which budget's window it was: alerts are derived from that."""
    if not isinstance(error, NotGranted):
        return {"refused": dict(error.details)}
    claim = error.claim
    epoch = 0 if claim.window_starts_at is None else int(claim.window_starts_at.timestamp())
    window = {"budget_id": claim.budget_id, "subject": claim.subject, "window_epoch": epoch}
    return {"refused": dict(error.details), "window": window}


def _conversation(call: Call, parsed: ParsedRequest | None) -> str:
    """The one the client named; none is made up for a request that never began."""
    named = parsed.conversation_id if parsed else None
    if "x-conversation-id" not in call.headers and named is None:
        return ""
    try:
        return conversation_id(call.headers, named)
    except InvalidRequest:
        return ""
