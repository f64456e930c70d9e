"""What a request to a route would do now: a panel on the route's page, and a page to ask in detail."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from unfold.widgets import (  # type: ignore[import-untyped]
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from gateway.engine.errors import InvalidRequest
from gateway.engine.tier import Tier
from gateway.engine.words import Operation
from gateway.ledger.money import pico_to_usd
from gateway.ledger.records import BudgetCheck
from gateway.models import ApiKey, Route
from gateway.services.dry_run import DryRun, route_dry_run
from gateway.services.dry_run_candidates import Standing
from gateway.services.dry_run_request import (
    MAX_INPUT_TOKENS,
    MAX_OUTPUT_TOKENS,
    MAX_TEXT_CHARACTERS,
    SAMPLE_TEXT,
    Question,
)

_OPERATIONS = [
    (Operation.CHAT.value, "Chat Completions (OpenAI's wire)"),
    (Operation.MESSAGES.value, "Messages (Anthropic's wire)"),
    (Operation.RESPONSES.value, "Responses (OpenAI's wire)"),
    (Operation.EMBEDDINGS.value, "Embeddings (OpenAI's wire)"),
]
_TIERS = [("", "let the gateway decide"), (Tier.SIMPLE.value, "simple"), (Tier.COMPLEX.value, "complex")]
# Tone and words of what would become of a target.
_STANDINGS = {
    Standing.FIRST: ("good", "would be asked"),
    Standing.NEXT: ("info", "stands by"),
    Standing.SKIPPED: ("bad", "passed over"),
    Standing.TOO_SMALL: ("warn", "too small"),
    Standing.LEFT_OUT: ("quiet", "left out"),
    Standing.NOT_ASKED: ("quiet", "not asked"),
}
_VERDICTS = {
    "fits": "has room",
    "over": "over its limit, but only alerts",
    "step_down": "asks for the cheap target",
    "no_room": "has no room",
}


class DryRunForm(forms.Form):
    """The question, with the answers that most requests would give."""

    model = forms.ChoiceField(
        label="Asked by the name",
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="What the agent sends as model: the route's name or an alias.",
    )
    operation = forms.ChoiceField(
        label="Call", choices=_OPERATIONS, widget=UnfoldAdminSelectWidget, help_text="Which API the agent calls."
    )
    key = forms.ModelChoiceField(
        label="API key",
        queryset=ApiKey.objects.none(),
        to_field_name="name",
        required=False,
        empty_label="a key of no team that has spent nothing",
        widget=UnfoldAdminSelectWidget,
        help_text="Whose budgets are looked at, and whose right to the route.",
    )
    tier = forms.ChoiceField(
        label="The caller calls it",
        choices=_TIERS,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="The header X-LLMOps-Tier, with which an agent says how hard its query is.",
    )
    input_tokens = forms.IntegerField(
        label="Input tokens",
        required=False,
        min_value=1,
        max_value=MAX_INPUT_TOKENS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="About how long the request is. Empty: as long as the text.",
    )
    max_output_tokens = forms.IntegerField(
        label="Output limit (tokens)",
        required=False,
        min_value=1,
        max_value=MAX_OUTPUT_TOKENS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="What the agent sets as limit. Empty: none.",
    )
    stream = forms.BooleanField(
        label="Streamed", required=False, widget=UnfoldBooleanSwitchWidget, help_text="The answer comes bit by bit."
    )
    tools = forms.BooleanField(
        label="With tools", required=False, widget=UnfoldBooleanSwitchWidget, help_text="The request offers a tool."
    )
    text = forms.CharField(
        label="What the user says",
        required=False,
        max_length=MAX_TEXT_CHARACTERS,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Read by the rules for simple queries, and kept nowhere.",
    )

    def __init__(self, route: Route, data: Any = None) -> None:
        super().__init__(data, initial={"text": SAMPLE_TEXT, "model": route.name, "operation": Operation.CHAT.value})
        self.route = route
        self.fields["model"].choices = [(name, name) for name in (route.name, *route.aliases)]  # type: ignore[attr-defined]
        self.fields["key"].queryset = ApiKey.objects.alive().order_by("name")  # type: ignore[attr-defined]

    def question(self) -> Question:
        asked = self.cleaned_data
        return Question(
            model=asked["model"] or self.route.name,
            operation=Operation(asked["operation"]),
            key=asked["key"].name if asked["key"] else "",
            tier=Tier(asked["tier"]) if asked["tier"] else None,
            stream=asked["stream"],
            tools=asked["tools"],
            text=asked["text"] or SAMPLE_TEXT,
            input_tokens=asked["input_tokens"],
            max_output_tokens=asked["max_output_tokens"],
        )


def dry_run_page(request: HttpRequest, context: dict[str, Any], route: Route) -> HttpResponse:
    """The form and its answer; the answer alone for htmx, which asks again at every change."""
    form = DryRunForm(route, request.POST if request.method == "POST" else None)
    question = Question(model=route.name)
    if form.is_bound:
        question = form.question() if form.is_valid() else question
    told = {} if form.is_bound and not form.is_valid() else _answer(route, question)
    part = "HX-Request" in request.headers
    template = "result" if part else "page"
    context = {**context, "title": f"Dry run of {route.name}", "original": route, "form": form, **told}
    return render(request, f"admin/gateway/route/dry_run_{template}.html", context)


def dry_run_panel(request: HttpRequest, route: Route) -> HttpResponse:
    """The usual request's answer, for the route's own page."""
    return render(request, "admin/gateway/route/dry_run_result.html", _answer(route, Question(model=route.name)))


def _answer(route: Route, question: Question) -> dict[str, Any]:
    try:
        run = route_dry_run(route=route, question=question)
    except InvalidRequest as error:
        return {"problem": error.message}
    return {
        "run": run,
        "tone": _tone(run),
        "candidates": [_told(one) for one in run.candidates],
        "budgets": _budgets(run),
    }


def _tone(run: DryRun) -> str:
    if not run.would_be_sent:
        return "bad"
    return "good" if run.candidates[0].standing is Standing.FIRST else "warn"


def _told(candidate: Any) -> dict[str, Any]:
    tone, words = _STANDINGS[candidate.standing]
    return {"one": candidate, "tone": tone, "words": words, "reasons": "; ".join(candidate.reasons)}


def _budgets(run: DryRun) -> list[dict[str, Any]]:
    return [_budget(check) for check in run.checks]


def _budget(check: BudgetCheck) -> dict[str, Any]:
    claim = check.claim
    spent_usd, reserved_usd = pico_to_usd(check.spent), pico_to_usd(check.reserved)
    return {
        "name": claim.budget_name,
        "limit_usd": claim.limit_usd,
        "spent_usd": spent_usd,
        "reserved_usd": reserved_usd,
        "room_usd": max(claim.limit_usd - spent_usd - reserved_usd, pico_to_usd(0)),
        "verdict": _VERDICTS.get(check.verdict, check.verdict),
    }
