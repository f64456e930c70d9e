"""Fire drills in the operators' API: list, start, look at, stop."""

from __future__ import annotations

from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field, StringConstraints

from gateway.api.operators_access import operator_allowed
from gateway.api.operators_errors import NotFound, only_parameters
from gateway.api.operators_schemas import CALLER_FAULTS, OR_MISSING, Moment, Usd
from gateway.engine.drill import DrillFault
from gateway.engine.errors import InvalidRequest
from gateway.models import Drill as DrillRow
from gateway.models.drill import LONGEST_SECONDS
from gateway.selectors.drills import DrillLine, DrillReport, drill_line, drill_list, drill_report
from gateway.selectors.ids import LARGEST_ID, row_of_id
from gateway.services.drill_names import drill_start_named
from gateway.services.drills import drill_stop
from gateway.services.permissions import START_DRILLS, STOP_DRILLS

MOST_DRILLS = 1000
_Line = Annotated[str, StringConstraints(max_length=200)]

router = Router()


class Drill(Schema):
    """`ended_at` is its end, be that past or still to come; no `keys` means every key."""

    id: int
    provider: str | None
    route: str | None
    fault: str
    share_percent: int
    keys: list[str]
    note: str
    alerts: bool
    started_by: str
    started_at: Moment
    ends_at: Moment
    stopped_at: Moment | None
    stopped_by: str
    ended_at: Moment
    running: bool


class Latency(Schema):
    answers: int
    mean_ms: float | None
    p95_ms: int | None


class AddedLatency(Schema):
    """Answered requests of the same time and routes; `mean_ms` and `p95_ms` are null where there are too few."""

    enough: bool
    mean_ms: float | None
    p95_ms: int | None
    drilled: Latency
    undrilled: Latency


class Transition(Schema):
    at: Moment
    provider: str
    from_state: str
    to_state: str
    cause: str
    request_id: str


class Report(Schema):
    drill: Drill
    affected: int
    answered: int
    rescued: int = Field(description="Answered by another target after falling back.")
    rescued_percent: float | None
    failed: int
    cancelled: int
    pending: int
    faults: dict[str, int] = Field(description="How often each fault was injected.")
    held_back: int = Field(description="Attempts that the drill's own breaker spared.")
    extra_usd: Usd
    spoiled_usd: Usd
    latency: AddedLatency
    transitions: list[Transition] = Field(description="The drill's own breaker.")


class DrillOrder(Schema):
    model_config = ConfigDict(extra="forbid")

    provider: str | None = None
    route: str | None = None
    fault: DrillFault
    share_percent: int = Field(ge=1, le=100)
    duration_seconds: int = Field(ge=1, le=LONGEST_SECONDS)
    api_keys: list[str] = Field(default=[], max_length=100)
    note: _Line = ""
    alerts: bool = False


@router.get("/drills", response={200: list[Drill], **CALLER_FAULTS}, summary="Fire drills, running ones first")
def drills(request: HttpRequest, limit: Annotated[int, Query(ge=1, le=MOST_DRILLS)] = 100) -> list[DrillLine]:
    only_parameters(request, "limit")
    return list(drill_list(now=timezone.now(), limit=limit))


@router.post("/drills", response={201: Drill, **CALLER_FAULTS}, summary="Start a fire drill")
def start(request: HttpRequest, order: DrillOrder) -> Status[DrillLine]:
    only_parameters(request)
    operator = operator_allowed(request, START_DRILLS)
    try:
        row = drill_start_named(**order.dict(), actor=operator.actor)
    except ValidationError as error:
        raise InvalidRequest(f"No drill was started: {' '.join(error.messages)}") from None
    return Status(201, drill_line(row, timezone.now()))


@router.get("/drills/{id}", response={200: Report, **OR_MISSING}, summary="A fire drill's report")
def report(request: HttpRequest, id: int) -> dict[str, Any]:
    only_parameters(request)
    found = drill_report(drill_id=id, now=timezone.now()) if 0 < id <= LARGEST_ID else None
    if found is None:
        raise _unknown(id)
    return _told(found)


@router.post("/drills/{id}/stop", response={200: Drill, **OR_MISSING}, summary="Stop a fire drill")
def stop(request: HttpRequest, id: int) -> DrillLine:
    """What is over already stays as it is."""
    only_parameters(request)
    operator = operator_allowed(request, STOP_DRILLS)
    row = row_of_id(DrillRow.objects.all(), id)
    if row is None:
        raise _unknown(id)
    drill_stop(drill=row, actor=operator.actor)
    return drill_line(row, timezone.now())


def _told(found: DrillReport) -> dict[str, Any]:
    plain = {name: getattr(found, name) for name in Report.model_fields if name not in ("faults", "transitions")}
    return {**plain, "faults": dict(found.faults), "transitions": list(found.transitions)}


def _unknown(drill_id: int) -> NotFound:
    return NotFound(f"There is no fire drill {drill_id}; GET /api/drills lists them.", param="id")
