"""Dry runs of routes in the operators' API."""

from __future__ import annotations

from typing import Annotated, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from gateway.api import operators_schemas as schemas
from gateway.api.operators_errors import NotFound, only_parameters
from gateway.api.operators_schemas import OR_MISSING
from gateway.engine.tier import Tier
from gateway.engine.words import Operation
from gateway.ledger.money import pico_to_usd
from gateway.ledger.records import BudgetCheck
from gateway.models import Route
from gateway.services.dry_run import DryRun, route_dry_run
from gateway.services.dry_run_candidates import Candidate
from gateway.services.dry_run_request import (
    MAX_INPUT_TOKENS,
    MAX_OUTPUT_TOKENS,
    MAX_TEXT_CHARACTERS,
    SAMPLE_TEXT,
    Question,
)

router = Router()


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold NUL")
    return text


_Name = Annotated[str, StringConstraints(max_length=200), AfterValidator(_storable)]


class DryRunOrder(Schema):
    """What the request would be like; everything may be left out."""

    model_config = ConfigDict(extra="forbid")

    model: _Name | None = Field(None, description="The name asked for: the route's (the default) or an alias of it.")
    operation: Literal["chat", "messages", "responses", "embeddings"] = "chat"
    api_key: _Name | None = Field(None, description="The name of the key that asks; null: one of no team, unused yet.")
    tier: Literal["simple", "complex"] | None = Field(None, description="X-LLMOps-Tier, the caller's own word.")
    stream: bool = False
    tools: bool = False
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARACTERS)] = Field(
        SAMPLE_TEXT, description="What the user says. Looked at by the rules for simple queries; kept nowhere."
    )
    input_tokens: int | None = Field(None, ge=1, le=MAX_INPUT_TOKENS, description="Fills the text up to about so many.")
    max_output_tokens: int | None = Field(None, ge=1, le=MAX_OUTPUT_TOKENS)
    conversation: Annotated[str, StringConstraints(max_length=128)] | None = None


class DryRunCandidate(Schema):
    """`order` counts the targets of the plan from 1 and is null for those left out of it."""

    order: int | None
    target: str
    provider: str
    model: str
    standing: str = Field(description="first, next, skipped, too_small, left_out or not_asked.")
    reasons: list[str]
    breaker: str
    next_probe_at: schemas.Moment | None
    context_window_tokens: int | None
    worst_case_usd: schemas.Usd | None


class DryRunBudget(Schema):
    """`room_usd` is what limit, spent and reserved leave for `claimed_usd`."""

    budget: str
    limit_usd: schemas.Usd
    spent_usd: schemas.Usd
    reserved_usd: schemas.Usd
    claimed_usd: schemas.Usd
    room_usd: schemas.Usd
    resets_at: schemas.Moment | None
    verdict: str = Field(description="fits, over (it only alerts), step_down or no_room (asked in another way).")


class DryRunError(Schema):
    status: int
    code: str
    message: str


class DryRunTold(Schema):
    route: str
    words: str = Field(description="The whole in a sentence.")
    would_be_sent: bool
    error: DryRunError | None = Field(description="What the agent would get instead of an answer.")
    candidates: list[DryRunCandidate]
    worst_case_usd: schemas.Usd = Field(description="What would be reserved.")
    simple: list[str] = Field(description="How the query was judged for the cheap model, in words.")
    adjusted: list[str] = Field(description="What budgets would make of the request, in words.")
    budgets: list[DryRunBudget]
    notes: list[str] = Field(description="What may make the next request go another way.")


@router.post(
    "/routes/{path:name}/dry-run",
    response={200: DryRunTold, **OR_MISSING},
    summary="What a request to this route would do now; asks no provider and changes nothing",
)
def dry_run(request: HttpRequest, name: str, order: DryRunOrder) -> DryRunTold:
    """With the configuration as it is stored, which is live everywhere within two seconds."""
    only_parameters(request)
    route = Route.objects.alive().filter(name=name).first() if name.isprintable() else None
    if route is None:
        known = ", ".join(Route.objects.alive().order_by("name").values_list("name", flat=True)[:50]) or "none yet"
        raise NotFound(f"There is no route {name[:100]!r}. There are: {known}.", param="name")
    return _told(route_dry_run(route=route, question=_question(route, order)))


def _question(route: Route, order: DryRunOrder) -> Question:
    return Question(
        model=order.model or route.name,
        operation=Operation(order.operation),
        key=order.api_key or "",
        tier=Tier(order.tier) if order.tier else None,
        stream=order.stream,
        tools=order.tools,
        text=order.text,
        input_tokens=order.input_tokens,
        max_output_tokens=order.max_output_tokens,
        conversation=order.conversation or "",
    )


def _told(run: DryRun) -> DryRunTold:
    error = run.error
    return DryRunTold(
        route=run.route,
        words=run.words,
        would_be_sent=run.would_be_sent,
        error=DryRunError(status=error.status, code=error.code, message=error.message) if error else None,
        candidates=[_candidate(one) for one in run.candidates],
        worst_case_usd=run.worst_case_usd,
        simple=list(run.simple),
        adjusted=list(run.budgets),
        budgets=[_budget(check) for check in run.checks],
        notes=list(run.notes),
    )


def _candidate(candidate: Candidate) -> DryRunCandidate:
    told: DryRunCandidate = DryRunCandidate.from_orm(candidate)
    return told


def _budget(check: BudgetCheck) -> DryRunBudget:
    claim, spent_usd, reserved_usd = check.claim, pico_to_usd(check.spent), pico_to_usd(check.reserved)
    return DryRunBudget(
        budget=claim.budget_name,
        limit_usd=claim.limit_usd,
        spent_usd=spent_usd,
        reserved_usd=reserved_usd,
        claimed_usd=claim.amount_usd,
        room_usd=max(claim.limit_usd - spent_usd - reserved_usd, pico_to_usd(0)),
        resets_at=claim.resets_at,
        verdict=check.verdict,
    )
