"""The intent of a completion: who asks for what on which route, told the same way whoever is going to answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.engine.configuration import Route
from gateway.engine.words import Operation
from gateway.ledger.records import ZERO_USD, BudgetClaim, Intent
from gateway.services.snapshot import ApiKey
from gateway.wires import ParsedRequest


def intent_of(
    parsed: ParsedRequest,
    route: Route,
    *,
    request_id: str,
    operation: Operation,
    key: ApiKey,
    conversation: str,
    created_at: datetime,
    lease_until: datetime,
    decision: Mapping[str, Any],
    holder: str = "",
    reserved_usd: Decimal = ZERO_USD,
    claims: tuple[BudgetClaim, ...] = (),
) -> Intent:
    """`holder` is the process that opens it; a line of a batch, which the batch holds, has none."""
    return Intent(
        id=request_id,
        created_at=created_at,
        surface=operation.surface,
        operation=operation.value,
        requested_model=parsed.model[:200],
        route_id=route.id or None,
        route_name=route.name,
        api_key_id=key.id,
        api_key_name=key.name,
        team_id=key.team_id,
        team_name=key.team_name or "",
        conversation=conversation,
        stream=parsed.stream,
        reserved_usd=reserved_usd,
        lease_until=lease_until,
        decision=decision,
        claims=claims,
        holder=holder,
    )
