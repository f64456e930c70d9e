"""Routes in the admin: new targets come last, errors stand at their fields, a dry run asks nobody."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from gateway.models import Completion, Provider, Route
from gateway.services.keys import key_create
from tests.admin.test_archiving_admin import MAKERS
from tests.admin.test_configuration_admin import form_of

pytestmark = pytest.mark.usefixtures("configured")


def url_of(name: str = "default", page: str = "change") -> str:
    return f"/admin/gateway/route/{Route.objects.get(name=name).pk}/{page}/"


def with_target(operations: Client, model: str) -> dict[str, Any]:
    """The form with one more target at openai, as the page's script adds it."""
    data = form_of(operations.get(url_of()))
    provider = Provider.objects.get(name="openai").pk
    route = Route.objects.get(name="default").pk
    new = {"provider": provider, "model": model, "position": "0", "route": route}
    return data | {f"targets-2-{name}": value for name, value in new.items()} | {"targets-TOTAL_FORMS": "3"}


def test_a_new_target_comes_last(operations: Client) -> None:
    assert operations.post(url_of(), with_target(operations, "gpt-4o")).status_code == 302
    models = Route.objects.get(name="default").targets.values_list("model", flat=True)
    assert list(models)[-1] == "gpt-4o"


def test_a_target_without_a_price_is_an_error_at_its_model(operations: Client) -> None:
    response = operations.post(url_of(), with_target(operations, "nobody-knows-it"))
    form = response.context["inline_admin_formsets"][0].formset.forms[2]
    assert form.errors == {
        "model": ["No price is known for nobody-knows-it; add one under Prices (or mark it as free) first."]
    }


@pytest.mark.parametrize(("field", "value"), [("name", "gpt-4-turbo"), ("aliases", "default")])
def test_a_name_that_is_taken_is_an_error_at_its_field(operations: Client, field: str, value: str) -> None:
    Route.objects.create(name="other")
    response = operations.post(url_of("other"), form_of(operations.get(url_of("other"))) | {field: value})
    assert response.context["adminform"].form.errors[field] == [f"{value} already leads to the route default."]


def test_the_dry_run_tells_what_the_usual_request_would_do(operations: Client) -> None:
    page = operations.get(url_of(page="dry-run")).content.decode()
    assert "openai/gpt-4-turbo would be asked. If that fails: anthropic/claude-3-5-sonnet-20241022." in page
    assert not Completion.objects.exists()


def test_the_dry_run_asks_with_a_key_of_ones_choice(operations: Client) -> None:
    key, _ = key_create(name="agents", actor="tester")
    key.disabled = True
    key.save()
    asked = {"operation": "chat", "key": "agents"}
    page = operations.post(url_of(page="dry-run"), asked, headers={"HX-Request": "true"}).content.decode()
    assert "It would be refused with 401 invalid_api_key" in page
    assert "<form" not in page


def test_a_wrong_answer_in_the_dry_run_is_said_in_a_sentence(operations: Client) -> None:
    asked = {"operation": "chat", "input_tokens": "-1"}
    page = operations.post(url_of(page="dry-run"), asked, headers={"HX-Request": "true"}).content.decode()
    assert "Input tokens: Ensure this value is greater than or equal to 1." in page


@pytest.mark.parametrize("model", ["provider", "route", "team", "apikey", "budget", "price", "alertchannel"])
def test_who_may_only_look_can_open_every_page_and_change_nothing(
    client: Client, operations: Client, model: str
) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    codes = [f"view_{model}", "view_target"]
    viewer.user_permissions.set(Permission.objects.filter(codename__in=codes, content_type__app_label="gateway"))
    row = _row(model)
    client.force_login(viewer)
    url = f"/admin/gateway/{model}/{row.pk}/"
    page = client.get(f"{url}change/")
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert client.post(f"{url}archive/", {"confirmed": "yes"}).status_code == 403
    row.refresh_from_db()
    assert not row.archived


def _row(model: str) -> Any:
    makers = {param.id: param.values[0] for param in MAKERS}
    return makers[{"apikey": "key", "alertchannel": "channel"}.get(model, model)]()
