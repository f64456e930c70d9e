"""What a request to a route would do now, and why: planned by the code that plans every request, sent to nobody.

The budgets are asked by the ledger's own rule without a reservation; breakers are read, not moved; nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from gateway.engine.errors import BreakerOpen, GatewayError, InvalidRequest
from gateway.ledger.admission import NotGranted, granted_checks
from gateway.ledger.records import BudgetCheck, Intent, Opened
from gateway.models import Route, Target
from gateway.selectors.breaker_status import breaker_states
from gateway.selectors.breakers import BreakerView
from gateway.selectors.budget_admission import budget_admission
from gateway.selectors.decision_words import budget_sentences
from gateway.selectors.simple_words import simple_sentences
from gateway.services.access import key_check
from gateway.services.call import Call
from gateway.services.dry_run_candidates import Candidate, Scene, Standing, candidates_of
from gateway.services.dry_run_request import Question, question_call
from gateway.services.live import live_state
from gateway.services.opening import Opening, opening_plan
from gateway.services.simple import Choice
from gateway.services.snapshot import Snapshot
from gateway.services.snapshot_load import snapshot_load
from gateway.wires import parse_call

_ZERO_USD = Decimal(0)


@dataclass(frozen=True, slots=True)
class DryRun:
    """`words` say it in a sentence. `error` is what the agent would get instead of an answer, None where it would be
    sent. `worst_case_usd` is what would be reserved; `checks` are what the budgets said, in the order of asking."""

    route: str
    question: Question
    words: str
    candidates: tuple[Candidate, ...]
    error: GatewayError | None = None
    worst_case_usd: Decimal = _ZERO_USD
    simple: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()
    checks: tuple[BudgetCheck, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def would_be_sent(self) -> bool:
        return any(one.standing is Standing.FIRST for one in self.candidates)


def route_dry_run(*, route: Route, question: Question) -> DryRun:
    """With the configuration as it is in the database, which is live in every process within two seconds.

    Raises InvalidRequest for a question that can't be asked: an archived route, another's name, an unknown key.
    """
    _check_question(route, question)
    now = datetime.now(UTC)
    snapshot = snapshot_load()
    call = question_call(question, snapshot)
    asked: list[Intent] = []
    opening, error = _opened(snapshot, call, asked, now)
    decision = asked[-1].decision if asked else {}
    scene = Scene(_targets(route), snapshot, call, question, opening, decision, _breakers(), now)
    found = candidates_of(scene)
    error = error or _all_breakers_open(found)
    return DryRun(
        route=route.name,
        question=question,
        words=_words(found, error),
        candidates=found,
        error=error,
        worst_case_usd=asked[-1].reserved_usd if asked else _ZERO_USD,
        simple=tuple(_simple(decision)),
        budgets=tuple(budget_sentences(decision)),
        checks=_checks(opening, error),
        notes=tuple(_notes(snapshot, opening, call)),
    )


def _check_question(route: Route, question: Question) -> None:
    names = [route.name, *route.aliases]
    if route.archived:
        raise InvalidRequest(f"The route {route.name} is archived: no request can name it. Restore it first.")
    if question.model not in names:
        raise InvalidRequest(
            f"{question.model[:100]!r} doesn't lead to this route; its names are: {', '.join(names)}.", param="model"
        )


def _opened(
    snapshot: Snapshot, call: Call, asked: list[Intent], now: datetime
) -> tuple[Opening | None, GatewayError | None]:
    """What would be sent, or the error that the agent would get; every try to reserve is left in `asked`."""

    async def reserve(intent: Intent) -> Opened:
        asked.append(intent)
        return await sync_to_async(budget_admission)(intent.claims)

    async def plan() -> Opening:
        key_check(call.key, now)
        parsed = parse_call(call.operation, call.body)
        return await opening_plan(snapshot, call, parsed, reserve=reserve, holder="")

    try:
        return async_to_sync(plan)(), None
    except GatewayError as error:
        return None, error


def _targets(route: Route) -> list[Target]:
    return list(route.targets.select_related("provider").order_by("simple", "position", "pk"))


def _breakers() -> dict[str, BreakerView]:
    """By provider, as this process knows them; elsewhere as their rows tell."""
    live = live_state()
    readings = {name: one.reading for name, one in live.providers.items()} if live is not None else {}
    return {view.provider: view for view in breaker_states(readings=readings)}


def _simple(decision: Mapping[str, Any]) -> Iterator[str]:
    """How the query was judged; what follows from it is the plan, save where the judgement changes nothing."""
    yield from islice(simple_sentences(decision), 1)
    choice = decision["simple"]["choice"] if "simple" in decision else ""
    if choice == Choice.SHADOW:
        yield "The route only watches (shadow), so this changes nothing."
    elif choice == Choice.KEPT:
        yield "By the route's percentage this conversation stays with the usual targets, as a comparison."


def _checks(opening: Opening | None, error: GatewayError | None) -> tuple[BudgetCheck, ...]:
    if opening is not None:
        return (*opening.draft.checks, *granted_checks(opening.intent.claims, opening.opened.windows))
    return error.checks if isinstance(error, NotGranted) else ()


def _all_breakers_open(found: Sequence[Candidate]) -> GatewayError | None:
    """What the engine ends with where every breaker refuses."""
    planned = [one for one in found if one.order is not None]
    if any(one.standing is not Standing.SKIPPED for one in planned):
        return None
    probes = [one.next_probe_at for one in planned if one.next_probe_at is not None]
    when = f"; the next probe is due at {min(probes):%H:%M:%S} UTC" if probes else ""
    return BreakerOpen(f"No breaker of this route lets a request through{when}.")


def _words(found: Sequence[Candidate], error: GatewayError | None) -> str:
    if error is not None:
        return f"It would be refused with {error.status} {error.code}: {error.message}"
    first = next((one for one in found if one.standing is Standing.FIRST), None)
    if first is None:
        return "It would be turned down by every target: it is too long for their windows."
    after = [one.target for one in found if one.standing is Standing.NEXT]
    rest = f" If that fails: {', then '.join(after)}." if after else " There is no other target to fall back on."
    return f"{first.target} would be asked.{rest}"


def _notes(snapshot: Snapshot, opening: Opening | None, call: Call) -> Iterator[str]:
    """What may make the next request go another way."""
    if opening is None:
        return
    if opening.route.cache is not None:
        yield "The route keeps answers: a request that was answered before gets the kept answer, and asks nobody."
    now = datetime.now(UTC).timestamp()
    for drill in snapshot.drills:
        if drill.concerns(route_id=opening.route.id, key_id=call.key.id, now=now):
            where = drill.provider or "the first target's provider"
            yield f"A fire drill plays {drill.fault.value} at {where} for {drill.share_percent:g} % of the requests."
    if call.key.id == 0:
        yield (
            "Asked as a key of no team that has spent nothing: budgets of one team or one key were left out, "
            "budgets for each key count as unspent."
        )
    if call.key.limits is not None:
        yield "The limits of the key (requests and tokens per minute, at a time) were not looked at."
