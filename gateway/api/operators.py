"""The operators' API: breakers, spend, conversations, budgets, status, one completion explained.

Runs under Django's stock handler with the back office's middleware, so sessions work and the ORM may be used. Described
for people in docs/operators-api.md, for machines at /api/openapi.json.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, cast

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import NinjaAPI, Path, Query, Router

from gateway.api import operators_schemas as schemas
from gateway.api.operators_access import OPERATOR_AUTH, operator_allowed
from gateway.api.operators_alert_messages import router as alert_messages_router
from gateway.api.operators_alerts import router as alerts_router
from gateway.api.operators_batches import router as batches_router
from gateway.api.operators_budgets import budget_raised
from gateway.api.operators_cache import router as cache_router
from gateway.api.operators_changes import router as changes_router
from gateway.api.operators_content import MAY_FORGET, ContentForgotten, content_forgotten
from gateway.api.operators_conversations import conversations_told, team_of
from gateway.api.operators_csv import attempts_download, completions_download
from gateway.api.operators_docs import for_operators
from gateway.api.operators_drills import router as drills_router
from gateway.api.operators_dry_run import router as dry_run_router
from gateway.api.operators_errors import (
    NotFound,
    NotServingHere,
    handle_errors,
    only_parameters,
    spoken_in_json,
    unknown_path,
)
from gateway.api.operators_explanation import CompletionExplained, explained
from gateway.api.operators_forgetting import Forgotten, add_key_forgetting, conversation_told
from gateway.api.operators_keys import add_keys
from gateway.api.operators_prices import router as prices_router
from gateway.api.operators_schemas import CALLER_FAULTS, OR_MISSING
from gateway.api.operators_status import Status, status
from gateway.engine.errors import InvalidRequest
from gateway.models import HealthProbe, Provider
from gateway.selectors.breaker_status import breaker_states
from gateway.selectors.breakers import BreakerView
from gateway.selectors.budget_status import BudgetStanding, budget_standings
from gateway.selectors.conversation_list import ConversationFilter
from gateway.selectors.conversations import ConversationUsage, conversation_teams, conversation_usage
from gateway.selectors.explanation import completion_explanation
from gateway.selectors.ledger_spool import ledger_spool_state
from gateway.selectors.objectives import service_levels
from gateway.selectors.spend_report import SpendGroup, SpendReport, spend_report
from gateway.services.breakers import NotServing, breaker_force_closed, breaker_force_open, breaker_reset
from gateway.services.live import LiveState, live_state
from gateway.services.permissions import FORGET, ORDER_BREAKERS, RAISE_BUDGETS, TEST_PROVIDERS
from gateway.services.provider_health import provider_test

MAX_SPEND_GROUPS = 10_000
MAX_CONVERSATIONS = 1_000
SUBJECTS_PER_BUDGET = 100
RECENT_COMPLETIONS = 100

api = NinjaAPI(
    title="llmops operators' API",
    version="1",
    description="For operations staff and their programs. Amounts are decimal strings, times ISO 8601 in UTC.",
    urls_namespace="operators",
    auth=OPERATOR_AUTH,
    docs_decorator=for_operators,
)
handle_errors(api)
api.get("/completions.csv", summary="Every completion of a stretch of time, as CSV")(completions_download)
api.get("/attempts.csv", summary="Every attempt of a stretch of time, as CSV")(attempts_download)
rest = Router()  # for whatever nothing else answers

ConversationId = Annotated[str, Path(alias="id")]
_ACTIONS = {"force_open": breaker_force_open, "force_closed": breaker_force_closed, "reset": breaker_reset}


@api.get("/breakers", response={200: list[schemas.Breaker], **CALLER_FAULTS}, summary="Every provider's breaker")
def breakers(request: HttpRequest, drills: bool = False) -> list[BreakerView]:
    """With `drills` also the breakers that running fire drills have of their own."""
    only_parameters(request, "drills")
    live = live_state()
    return [*_breakers(live), *(live.drill_breakers if live is not None and drills else ())]


@api.get("/breakers/{provider}", response={200: schemas.Breaker, **OR_MISSING}, summary="One provider's breaker")
def breaker(request: HttpRequest, provider: str) -> BreakerView:
    only_parameters(request)
    return _breaker(provider)


@api.post(
    "/breakers/{provider}",
    response={200: schemas.Breaker, **OR_MISSING, 503: schemas.ErrorReply},
    summary="Force a breaker open or closed, or reset it (which also lifts an order)",
)
def breaker_order(request: HttpRequest, provider: str, order: schemas.BreakerOrder) -> BreakerView:
    only_parameters(request)
    row = _provider(provider)
    operator = operator_allowed(request, ORDER_BREAKERS)
    try:
        _ACTIONS[order.action](provider=row, reason=order.reason, actor=operator.actor)
    except NotServing as error:
        raise NotServingHere(f"Nothing was reset: {error}.") from None
    return _breaker(provider)


@api.post(
    "/providers/{provider}/test",
    response={200: schemas.HealthTest, **OR_MISSING},
    summary="Test now: one real minimal call with the provider's key",
)
def provider_tested(request: HttpRequest, provider: str) -> HealthProbe:
    """Answers 200 whatever came of it; `ok` and `words` say what. The breaker is not moved by it."""
    only_parameters(request)
    row = _provider(provider)
    operator = operator_allowed(request, TEST_PROVIDERS)
    return provider_test(provider=row, actor=operator.actor)


@api.get("/spend", response={200: schemas.Spend, **CALLER_FAULTS}, summary="Who spent how much")
def spend(
    request: HttpRequest,
    group_by: SpendGroup = SpendGroup.NONE,
    start: Annotated[schemas.MomentParameter | None, Query(alias="from")] = None,
    end: Annotated[schemas.MomentParameter | None, Query(alias="to")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_SPEND_GROUPS)] = 1000,
) -> SpendReport:
    """`from` is included, `to` is not; a completion counts when it began. Without `from` all time."""
    only_parameters(request, "group_by", "from", "to", "limit")
    if start is not None and end is not None and end < start:
        raise InvalidRequest("from must not be later than to.", param="from")
    return spend_report(group_by=group_by, start=start, end=end, limit=limit)


@api.get(
    "/conversations",
    response={200: schemas.Conversations, **OR_MISSING},
    summary="Conversations, the last used first",
)
def conversations(
    request: HttpRequest,
    team: str | None = None,
    conversation_id: Annotated[str, Query(alias="id")] = "",
    start: Annotated[schemas.MomentParameter | None, Query(alias="from")] = None,
    end: Annotated[schemas.MomentParameter | None, Query(alias="to")] = None,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=MAX_CONVERSATIONS)] = 100,
) -> schemas.Conversations:
    """`from` and `to` bound when a conversation was last used; `team` is a name, empty for keys without a team."""
    only_parameters(request, "team", "id", "from", "to", "after", "limit")
    wanted = ConversationFilter(team_of(team), _searchable(conversation_id), start, end)
    return conversations_told(wanted, after=after, limit=limit)


@api.get("/conversations/{id}", response={200: schemas.Conversation, **OR_MISSING}, summary="One conversation")
def conversation(request: HttpRequest, conversation_id: ConversationId, team: str | None = None) -> ConversationUsage:
    """A conversation belongs to a team: where several have one of this id, `team` picks (empty: keys of no team)."""
    only_parameters(request, "team")
    team_id, name = _conversation_team(conversation_id, team)
    usage = conversation_usage(
        conversation=conversation_id, team_id=team_id, team=name, recent=RECENT_COMPLETIONS, now=timezone.now()
    )
    if usage is None:
        raise _unknown_conversation(conversation_id)
    return usage


@api.delete(
    "/conversations/{id}/content",
    response={200: ContentForgotten, **OR_MISSING},
    summary="Delete what was asked and answered in a conversation",
)
def conversation_content(
    request: HttpRequest, conversation_id: ConversationId, team: str | None = None
) -> ContentForgotten:
    """Only the stored content goes, the requests' rows and costs stay. `team` as where the conversation is read."""
    only_parameters(request, "team")
    actor = operator_allowed(request, MAY_FORGET).actor
    return content_forgotten(conversation_id, *_conversation_team(conversation_id, team), actor)


@api.delete(
    "/conversations/{id}", response={200: Forgotten, **OR_MISSING, 503: schemas.ErrorReply}, summary="Forget it"
)
def conversation_forgotten(request: HttpRequest, conversation_id: ConversationId, team: str | None = None) -> Forgotten:
    """Its id, contents, notes and messages go, its amounts stay. `team` as where the conversation is read."""
    only_parameters(request, "team")
    actor = operator_allowed(request, FORGET).actor
    return conversation_told(conversation_id, *_conversation_team(conversation_id, team), actor)


@api.get(
    "/completions/{request_id}",
    response={200: CompletionExplained, **OR_MISSING},
    summary="One completion explained",
)
def completion(request: HttpRequest, request_id: str) -> CompletionExplained:
    only_parameters(request)
    explanation = completion_explanation(request_id=_searchable(request_id))
    if explanation is None:
        raise NotFound(
            f"There is no completion {request_id[:60]!r}. Its id is the X-Request-Id header of the answer.",
            param="request_id",
        )
    return explained(explanation)


@api.get("/budgets", response={200: list[schemas.Budget], **CALLER_FAULTS}, summary="Every budget's current window")
def budgets(request: HttpRequest) -> list[BudgetStanding]:
    only_parameters(request)
    return list(budget_standings(now=timezone.now(), subjects_per_budget=SUBJECTS_PER_BUDGET))


@api.post(
    "/budgets/{path:name}/raise",
    response={200: schemas.BudgetRaised, **OR_MISSING},
    summary="Raise a budget's limit for a while",
)
def budget_raise_order(request: HttpRequest, name: str, order: schemas.RaiseOrder) -> schemas.BudgetRaised:
    """It ends by itself. Live on every process within 2 seconds."""
    only_parameters(request)
    operator = operator_allowed(request, RAISE_BUDGETS)
    return budget_raised(name=_searchable(name), order=order, actor=operator.actor)


@api.get("/status", response={200: Status, **CALLER_FAULTS}, summary="Service levels, providers, queues")
def gateway_status(request: HttpRequest) -> Status:
    only_parameters(request)
    live = live_state()
    return status(service_levels(now=timezone.now()), _breakers(live), live, ledger_spool_state())


add_keys(api)
add_key_forgetting(api)


@rest.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:path}", auth=None, include_in_schema=False)
def nothing_here(request: HttpRequest, path: str) -> HttpResponse:
    raise unknown_path(request)


api.add_router("", alerts_router)
api.add_router("", alert_messages_router)
api.add_router("", changes_router)
api.add_router("", batches_router)
api.add_router("", drills_router)
api.add_router("", dry_run_router)
api.add_router("/prices", prices_router)
api.add_router("", cache_router)
api.add_router("", rest)  # last, since paths are tried in their order


def _breakers(live: LiveState | None) -> list[BreakerView]:
    """A list, since ninja takes a tuple of two for a status and a body."""
    readings = {name: one.reading for name, one in live.providers.items()} if live else {}
    return list(breaker_states(readings=readings))


def _breaker(provider: str) -> BreakerView:
    view = next((one for one in _breakers(live_state()) if one.provider == provider), None)
    if view is None:
        raise _unknown_provider(provider)
    return view


def _provider(name: str) -> Provider:
    row: Provider | None = Provider.objects.alive().filter(name=_searchable(name)).first()
    if row is None:
        raise _unknown_provider(name)
    return row


def _unknown_provider(name: str) -> NotFound:
    known = ", ".join(Provider.objects.alive().order_by("name").values_list("name", flat=True)) or "none yet"
    return NotFound(f"There is no provider {name[:60]!r}. There are: {known}.", param="provider")


def _conversation_team(conversation_id: str, wanted: str | None) -> tuple[int, str]:
    """The team meant, as id and name."""
    teams = conversation_teams(conversation=_searchable(conversation_id))
    if not teams:
        raise _unknown_conversation(conversation_id)
    if wanted is None:
        if len(teams) > 1:
            raise InvalidRequest(
                f"Several teams have a conversation of this id; add ?team= and one of: {_names(teams)}.", param="team"
            )
        return next(iter(teams.items()))
    for team_id, name in sorted(teams.items(), reverse=True):  # of teams that shared a name the newest
        if name == wanted:
            return team_id, name
    raise NotFound(f"The team {wanted[:60]!r} has no such conversation; it belongs to: {_names(teams)}.", param="team")


def _names(teams: dict[int, str]) -> str:
    return ", ".join(name or "'' (keys without a team)" for name in sorted(teams.values()))


def _unknown_conversation(conversation_id: str) -> NotFound:
    return NotFound(f"There is no conversation {conversation_id[:130]!r}.", param="id")


def _searchable(text: str) -> str:
    """Text that a database can be asked for; what it couldn't hold (NUL, lone surrogates) is nobody's name."""
    return text if text.isprintable() else ""


def urls() -> tuple[list[Any], str, str]:
    """For `path("api/", …)`. Every answer is JSON in one shape, also outside of operations."""
    patterns, app_name, namespace = api.urls
    for pattern in patterns:
        pattern.callback = spoken_in_json(cast("Callable[..., HttpResponse]", pattern.callback))
    return patterns, app_name, namespace
