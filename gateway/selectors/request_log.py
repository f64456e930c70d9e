"""The log of requests, newest first, page by page: every page is bounded in time, whatever it is narrowed to.

Rows are reached along an index and sifted one by one, at most `ROWS_SIFTED` per page; where that is less than all of
them, the page says how far back it has looked, and the next one goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from gateway.models import ApiKey, Completion, Provider, Route, Target, Team
from gateway.selectors.completions import CompletionLine, completion_lines
from gateway.selectors.keyset import Cursor
from gateway.selectors.request_filter import RequestFilter

ROWS_SIFTED = 20_000
COUNTED = 1_000
CHOICES = 200
# Before every id: a page that goes on from it has all of an earlier moment, and nothing of its own.
_BEFORE_EVERY_ID = "!"


@dataclass(frozen=True, slots=True)
class RequestPage:
    """`count` is of this page and those after it, `COUNTED` + 1 for more; of what was looked through, where
    `looked_back_to` is set. `next` begins the following page; None on the last one.
    """

    lines: tuple[CompletionLine, ...]
    count: int
    next: Cursor | None
    looked_back_to: datetime | None


@dataclass(frozen=True, slots=True)
class RequestChoices:
    """Names to choose from: those in use, the first of them in the alphabet."""

    teams: tuple[str, ...]
    keys: tuple[str, ...]
    routes: tuple[str, ...]
    providers: tuple[str, ...]
    models: tuple[str, ...]


def request_page(*, wanted: RequestFilter, after: Cursor | None, limit: int) -> RequestPage:
    """Five queries at most."""
    rows = _older(Completion.objects.filter(wanted.reached()), after)
    sifted = wanted.sifted()
    floor = _floor(rows) if sifted and not wanted.id else None
    if floor is not None:
        rows = rows.filter(created_at__gte=floor)
    ordered = rows.filter(sifted).order_by("-created_at", "-pk")
    found: list[tuple[str, datetime]] = list(ordered.values_list("pk", "created_at")[: COUNTED + 1])
    shown = found[:limit]
    following = _after(shown[-1]) if len(found) > limit else Cursor(floor, _BEFORE_EVERY_ID) if floor else None
    return RequestPage(_lines([pk for pk, _ in shown]), len(found), following, floor)


def request_choices() -> RequestChoices:
    """Five queries."""
    models = Target.objects.order_by("model").values_list("model", flat=True).distinct()
    return RequestChoices(
        _names(Team.objects.alive()),
        _names(ApiKey.objects.alive()),
        _names(Route.objects.alive()),
        _names(Provider.objects.alive()),
        tuple(models[:CHOICES]),
    )


def _names(rows: QuerySet[Team] | QuerySet[ApiKey] | QuerySet[Route] | QuerySet[Provider]) -> tuple[str, ...]:
    return tuple(rows.order_by("name").values_list("name", flat=True)[:CHOICES])


def _older(rows: QuerySet[Completion], after: Cursor | None) -> QuerySet[Completion]:
    if after is None:
        return rows
    # The first condition is what an index can begin at.
    older = Q(created_at__lt=after.moment) | Q(pk__lt=after.key)
    return rows.filter(created_at__lte=after.moment).filter(older)


def _floor(rows: QuerySet[Completion]) -> datetime | None:
    """When the last row that one page may look through began; None if it may look through all of them.

    The offset is a constant: it is walked along the index alone.
    """
    moments = rows.order_by("-created_at").values_list("created_at", flat=True)
    return next(iter(moments[ROWS_SIFTED : ROWS_SIFTED + 1]), None)


def _after(row: tuple[str, datetime]) -> Cursor:
    return Cursor(row[1], row[0])


def _lines(ids: list[str]) -> tuple[CompletionLine, ...]:
    lines = completion_lines(Completion.objects.filter(pk__in=ids)) if ids else ()
    place = {pk: index for index, pk in enumerate(ids)}
    return tuple(sorted(lines, key=lambda line: place[line.id]))
