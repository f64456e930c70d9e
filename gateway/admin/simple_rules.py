"""The scorer's rules: a form for a new version, filled in with the one in force, and the versions there were."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.admin import ModelAdmin  # type: ignore[import-untyped]
from unfold.decorators import action  # type: ignore[import-untyped]
from unfold.widgets import UnfoldAdminDecimalFieldWidget  # type: ignore[import-untyped]

from gateway import bounds
from gateway.engine.tier import BUILT_IN_VERSION, Feature
from gateway.models import SimpleRules
from gateway.services.simple_configuration import simple_rules_change, simple_rules_in_force, simple_rules_of

_MEANINGS = {
    Feature.LENGTH: "Words of the query; 150 are a whole one.",
    Feature.LINES: "Line breaks in it; 20 are a whole one.",
    Feature.CODE: "Fences, braces, keywords of programming languages.",
    Feature.MATHS: "Formulas and words of mathematics.",
    Feature.REASONING: "Words that ask to explain, compare, prove, plan.",
    Feature.CONSTRAINTS: "Words that bound the answer: must, exactly, at least …",
    Feature.QUESTIONS: "More than one question.",
    Feature.LONG_WORDS: "How long its words are on average.",
    Feature.EASY_TASK: "Words that ask to look up, translate, classify, rephrase.",
    Feature.LONG_SYSTEM_PROMPT: "4,000 characters are a whole one.",
    Feature.LONG_OUTPUT: "The limit that the client sets; 4,000 tokens are a whole one.",
}
_VERSION_DIGITS = 18  # more are no key of a row
_NUMBERS = ("threshold", "long_input_characters", "least_words")


def _weight_field(feature: Feature) -> forms.FloatField:
    return forms.FloatField(
        label=feature.value.replace("_", " "),
        help_text=_MEANINGS[feature],
        min_value=bounds.SCORE_WEIGHT.minimum,
        max_value=bounds.SCORE_WEIGHT.maximum,
        widget=UnfoldAdminDecimalFieldWidget,
    )


WEIGHT_FIELDS = {f"weight_{feature.value}": _weight_field(feature) for feature in Feature}


class _Numbers(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = SimpleRules
        fields = (*_NUMBERS, "note")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        self.instance.weights = {feature.value: data.get(f"weight_{feature.value}") or 0.0 for feature in Feature}
        return data


_metaclass: Any = type(_Numbers)
RulesForm = _metaclass("RulesForm", (_Numbers,), dict(WEIGHT_FIELDS))


@admin.register(SimpleRules)
class SimpleRulesAdmin(ModelAdmin):  # type: ignore[misc]
    form = RulesForm
    compressed_fields = True
    list_display = ("version", "created_at", "made_by", "threshold", "note")
    ordering = ("-pk",)
    actions: Any = None
    actions_list = ("reset",)
    actions_detail = ("use_again",)
    readonly_fields = ("weights_in_words", "made_by", "created_at")

    def get_fieldsets(self, request: HttpRequest, obj: SimpleRules | None = None) -> Any:
        if obj is not None:
            return ((None, {"fields": (*_NUMBERS, "weights_in_words", "note", "made_by", "created_at")}),)
        words = "Each feature is measured from 0 to 1 and counts by its weight; a weight of 0 leaves it out."
        return (
            (None, {"fields": (*_NUMBERS, "note")}),
            ("Weights", {"fields": tuple(WEIGHT_FIELDS), "description": words}),
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # decisions refer to versions

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_edit_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return bool(self.has_add_permission(request))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The rules in force, or those of the version that the address names."""
        asked = request.GET.get("version", "")
        named = simple_rules_of(int(asked)) if asked.isascii() and asked.isdecimal() and len(asked) < 18 else None
        rules = named or simple_rules_in_force()
        weights = {f"weight_{feature.value}": rules.weights.get(feature.value, 0.0) for feature in Feature}
        numbers = {name: getattr(rules, name) for name in _NUMBERS}
        return {**numbers, **weights, "note": request.GET.get("note", "")[:300]}

    def save_model(self, request: HttpRequest, obj: SimpleRules, form: Any, change: bool) -> None:
        simple_rules_change(row=obj, actor=str(request.user))

    @action(description="Back to the built-in rules", url_path="reset", permissions=["edit"], icon="restart_alt")  # type: ignore[untyped-decorator]
    def reset(self, request: HttpRequest) -> HttpResponse:
        """The form, filled in with the rules that come with llmops."""
        return _form_of(BUILT_IN_VERSION, "back to the built-in rules")

    @action(description="Use again", url_path="use-again", permissions=["edit"], icon="history")  # type: ignore[untyped-decorator]
    def use_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form, filled in with this version."""
        if not object_id.isdecimal() or len(object_id) > _VERSION_DIGITS:
            raise Http404("There is no such version of the rules.")
        return _form_of(int(object_id), f"back to version {int(object_id)}")

    @admin.display(description="version", ordering="pk")
    def version(self, row: SimpleRules) -> str:
        return str(row)

    @admin.display(description="weights")
    def weights_in_words(self, row: SimpleRules) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {weight:+g}" for name, weight in row.weights.items() if weight)


def _form_of(version: int, note: str) -> HttpResponse:
    return redirect(f"{reverse('admin:gateway_simplerules_add')}?{urlencode({'version': version, 'note': note})}")
