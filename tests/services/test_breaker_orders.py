"""What operations order of a breaker is written down where everything else about it is, whoever orders it."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from gateway.alerts.breakers import breaker_alerts_derive
from gateway.models import Alert, BreakerTransition, ConfigurationChange, Provider
from gateway.services.breakers import breaker_force_closed, breaker_force_open, breaker_release, breaker_reset
from gateway.services.runtime import Runtime
from tests.admin.conftest import configured, operations  # noqa: F401
from tests.api.conftest import serving  # noqa: F401
from tests.selectors.rows import add_provider, open_breaker

pytestmark = pytest.mark.django_db


@pytest.fixture
def openai(db: None) -> Provider:
    return add_provider("openai")


def steps() -> list[tuple[str, str, str]]:
    return list(BreakerTransition.objects.order_by("pk").values_list("from_state", "to_state", "cause"))


def test_forcing_open_is_a_row_of_the_timeline_with_who_and_why(openai: Provider) -> None:
    breaker_force_open(provider=openai, reason="maintenance", actor="ada")
    assert steps() == [("closed", "open", "forced open by ada: maintenance")]


def test_forcing_closed_begins_where_the_breaker_stood(openai: Provider) -> None:
    open_breaker("openai")
    breaker_force_closed(provider=openai, reason="no other target", actor="ada")
    assert steps() == [("open", "closed", "forced closed by ada: no other target")]


def test_release_ends_where_the_breaker_stands(openai: Provider) -> None:
    open_breaker("openai")
    breaker_force_closed(provider=openai, reason="x", actor="ada")
    breaker_release(provider=openai, reason="", actor="bob")
    assert steps()[-1] == ("closed", "open", "released by bob")


def test_a_reset_lifts_an_order_with_one_row(openai: Provider, serving: Runtime) -> None:  # noqa: F811
    breaker_force_open(provider=openai, reason="x", actor="ada")
    breaker_reset(provider=openai, reason="done", actor="bob")
    assert steps()[1:] == [("open", "closed", "reset by bob: done")]


def test_an_order_alerts_once_as_opened_and_once_as_closed(openai: Provider) -> None:
    breaker_force_open(provider=openai, reason="x", actor="ada")
    breaker_force_open(provider=openai, reason="still", actor="bob")
    breaker_release(provider=openai, reason="", actor="ada")
    breaker_alerts_derive(now=timezone.now())
    alert = Alert.objects.get()
    assert alert.closed_at is not None
    assert alert.message.startswith("The breaker of openai opened: forced open by ada: x.")


def test_forcing_an_open_breaker_open_is_no_second_opening(openai: Provider) -> None:
    open_breaker("openai")
    breaker_force_open(provider=openai, reason="x", actor="ada")
    breaker_alerts_derive(now=timezone.now())
    assert (steps()[0][:2], Alert.objects.count()) == (("open", "open"), 0)


def form_of(client: Client, row: Provider) -> dict[str, object]:
    form = client.get(f"/admin/gateway/provider/{row.pk}/change/").context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    return {name: "" if value is None else value for name, value in values.items() if value not in (False, {})}


def test_the_admins_form_orders_as_everybody_else_does(operations: Client, configured: None) -> None:  # noqa: F811
    openai = Provider.objects.get(name="openai")
    values = {**form_of(operations, openai), "forced_breaker": "open", "forced_breaker_reason": "maintenance"}
    response = operations.post(f"/admin/gateway/provider/{openai.pk}/change/", values)
    assert response.status_code == 302, response.context["adminform"].form.errors
    openai.refresh_from_db()
    assert (openai.forced_breaker, openai.forced_breaker_reason) == ("open", "maintenance")
    assert steps() == [("closed", "open", "forced open by operations: maintenance")]
    change = ConfigurationChange.objects.latest("pk")
    assert (change.actor, change.after) == ("operations", "forced_breaker=open (maintenance)")


def test_clearing_the_admins_field_releases_the_breaker(operations: Client, configured: None) -> None:  # noqa: F811
    openai = Provider.objects.get(name="openai")
    breaker_force_open(provider=openai, reason="maintenance", actor="ada")
    values = {**form_of(operations, openai), "forced_breaker": ""}
    assert operations.post(f"/admin/gateway/provider/{openai.pk}/change/", values).status_code == 302
    openai.refresh_from_db()
    assert (openai.forced_breaker, openai.forced_breaker_reason) == (None, "")
    assert steps()[-1][:2] == ("open", "closed")
