"""The cheap model for simple queries, route by route: its mode, what it takes, what it saves, and whether it harms."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from gateway.dashboard.access import back_office_page, render_page
from gateway.dashboard.links import changelist_url
from gateway.dashboard.row_links import decided_url
from gateway.dashboard.scope import scope_of
from gateway.dashboard.scope_bar import bar_context
from gateway.engine.proportions import FEWEST, Share, difference
from gateway.selectors.request_filter import DECIDED
from gateway.selectors.simple_words import reason_words
from gateway.services.simple import Choice
from gateway.services.simple_report import MOST_DECISIONS, RouteReport, simple_report

_MODES = {
    "off": "Off: nothing is decided.",
    "shadow": "Shadow: it decides and records, and changes nothing.",
    "on": "On: every query judged simple is sent to the cheap model.",
    "": "This route has no cheap model now.",
}
# How a mode is followed up, in the order of the steps.
_STEPS = (("off", "Off"), ("shadow", "Shadow"), ("%", "A percentage"), ("on", "On"))


@dataclass(frozen=True, slots=True)
class Harm:
    """One way to be worse than the strong model: both groups' shares, and what they say together."""

    title: str
    sent: Share
    control: Share
    words: str
    tone: str


@dataclass(frozen=True, slots=True)
class RouteCard:
    report: RouteReport
    mode_words: str
    step: str
    share_sent: float
    harms: tuple[Harm, ...]
    reasons: tuple[tuple[str, str, int, float], ...]
    settings_url: str
    requests_url: str
    sent_url: str


@back_office_page
def simple(request: HttpRequest) -> HttpResponse:
    scope = scope_of(request, now=timezone.now(), zone=timezone.get_current_timezone())
    report = simple_report(scope.window, where=scope.where)
    routes = changelist_url(request, "Route")
    context = {
        **bar_context(scope, page="simple"),
        "report": report,
        "cards": [
            _card(one, routes, decided_url(scope, one.route, DECIDED), decided_url(scope, one.route, Choice.SENT))
            for one in report.routes
        ],
        "steps": _STEPS,
        "most": MOST_DECISIONS,
        "routes_url": routes,
        "workloads_url": changelist_url(request, "Workload"),
        "rules_url": changelist_url(request, "SimpleRules"),
    }
    return render_page(request, "dashboard/simple.html", "Simple queries", context)


def _card(report: RouteReport, routes_url: str, requests: str, sent: str) -> RouteCard:
    return RouteCard(
        report=report,
        mode_words=_MODES.get(report.mode, f"{report.mode} of the simple conversations are sent to the cheap model."),
        step="%" if report.mode.endswith("%") else report.mode,
        share_sent=report.sent.requests / report.decisions if report.decisions else 0.0,
        harms=harms(report),
        reasons=tuple(
            (reason_words(reason), tier, count, count / report.decisions)
            for (reason, tier), count in report.reasons.most_common()
        ),
        settings_url=f"{routes_url}{report.route_id}/change/" if routes_url and report.route_id else "",
        requests_url=requests,
        sent_url=sent,
    )


def harms(report: RouteReport) -> tuple[Harm, ...]:
    pairs = (
        ("Thumbs down, of those rated", report.diced.disliked, report.control.disliked),
        ("First model didn't do", report.diced.troubled, report.control.troubled),
    )
    return tuple(Harm(title, sent, control, *verdict(sent, control)) for title, sent, control in pairs)


def verdict(sent: Share, control: Share) -> tuple[str, str]:
    """What the comparison says, and its tone."""
    if not control.whole:
        return (
            "No comparison: nothing like it went to the strong model. A percentage makes a random group that does.",
            "",
        )
    found = difference(sent, control)
    if found is None:
        return f"Too few to say anything: each group needs at least {FEWEST}.", ""
    between = f"{abs(100 * found.low):.1f} and {abs(100 * found.high):.1f} percentage points"
    if found.sign > 0:
        return f"Worse than the strong model: by between {between}, with 95 % confidence.", "bad"
    if found.sign < 0:
        return f"Better than the strong model: by between {between}, with 95 % confidence.", "good"
    return (
        f"No difference that chance couldn't make: between {100 * found.low:+.1f} and {100 * found.high:+.1f} "
        "percentage points, with 95 % confidence.",
        "",
    )
