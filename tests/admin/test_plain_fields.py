"""Forms say what their fields mean: no field without help, no name of a column, every choice in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User

from gateway.admin.base import AnnouncingAdmin
from gateway.admin.plain_fields import CHOICES, HELP, LABELS
from gateway.models import Drill
from gateway.models.words import BudgetScope, CacheScope, Enforcement, ForcedBreaker, KeyRole, StreamRecovery

pytestmark = pytest.mark.django_db
WORDS = {
    ("budget", "scope"): BudgetScope,
    ("budget", "enforcement"): Enforcement,
    ("route", "stream_recovery"): StreamRecovery,
    ("route", "cache_scope"): CacheScope,
    ("provider", "forced_breaker"): ForcedBreaker,
    ("apikey", "role"): KeyRole,
}


def edited() -> list[Any]:
    sites = admin.site._registry.values()
    return [one for one in sites if isinstance(one, AnnouncingAdmin) or one.model is Drill]


def forms_of(model_admin: Any, request: Any) -> Iterator[Any]:
    yield model_admin.get_form(request)()
    for inline in model_admin.get_inline_instances(request):
        yield inline.get_formset(request)().empty_form


@pytest.fixture
def request_of_operator(rf: Any) -> Any:
    request = rf.get("/")
    request.user = User.objects.create_superuser("operations")
    return request


@pytest.mark.parametrize("model_admin", edited(), ids=lambda one: one.model.__name__)
def test_every_field_that_can_be_edited_has_help(model_admin: Any, request_of_operator: Any) -> None:
    forms = forms_of(model_admin, request_of_operator)
    fields = [(name, field) for form in forms for name, field in form.fields.items()]
    hidden = {"id", "DELETE", "route"}
    assert [name for name, field in fields if name not in hidden and not field.help_text] == []


@pytest.mark.parametrize("model_admin", edited(), ids=lambda one: one.model.__name__)
def test_no_field_is_called_like_a_column(model_admin: Any, request_of_operator: Any) -> None:
    labels = [str(field.label) for form in forms_of(model_admin, request_of_operator) for field in form.fields.values()]
    assert [label for label in labels if re.search(r"_| (seconds|percent|usd|ttl)$|timeout", label)] == []


@pytest.mark.parametrize(("place", "words"), WORDS.items(), ids=lambda value: str(value))
def test_every_choice_is_said_in_words(place: tuple[str, str], words: Any) -> None:
    model, field = place
    assert set(CHOICES[model][field]) == {word.value for word in words}


@pytest.mark.parametrize("table", [LABELS, HELP, CHOICES], ids=["labels", "help", "choices"])
def test_the_words_belong_to_fields_that_are_there(table: dict[str, dict[str, Any]], request_of_operator: Any) -> None:
    there = {
        (form._meta.model._meta.model_name, name)
        for model_admin in edited()
        for form in forms_of(model_admin, request_of_operator)
        for name in form.fields
    }
    assert {(model, name) for model, fields in table.items() for name in fields} <= there
