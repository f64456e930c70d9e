"""Providers in the admin: which key is in use, the test, and the question before requests are turned away."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from gateway.models import HealthProbe, Provider
from tests.admin.test_configuration_admin import errors_of, form_of

pytestmark = pytest.mark.usefixtures("configured")


def url_of(name: str, page: str = "change") -> str:
    return f"/admin/gateway/provider/{Provider.objects.get(name=name).pk}/{page}/"


def sent(operations: Client, name: str, **changed: str) -> Any:
    """The form with these changes; an empty word takes a switch off."""
    data = form_of(operations.get(url_of(name))) | changed
    return operations.post(url_of(name), {field: value for field, value in data.items() if value})


def test_a_stored_key_is_told_without_being_shown(operations: Client) -> None:
    page = operations.get(url_of("openai")).content.decode()
    assert "The one stored here, encrypted." in page
    assert "first-provider-secret" not in page


@pytest.mark.parametrize(("value", "words"), [("x", "which is set."), ("", "which is not set: calls")])
def test_whether_the_variable_is_set_is_told(
    operations: Client, monkeypatch: pytest.MonkeyPatch, value: str, words: str
) -> None:
    Provider.objects.filter(name="openai").update(api_key_env="SOME_KEY", api_key_encrypted="")
    monkeypatch.setenv("SOME_KEY", value)
    assert f"From the environment variable SOME_KEY, {words}" in operations.get(url_of("openai")).content.decode()


def test_two_keys_are_an_error_at_the_key(operations: Client) -> None:
    response = sent(operations, "openai", api_key="secret", api_key_env="SOME_KEY")
    assert response.context["adminform"].form.errors == {
        "api_key": ["Give the API key by variable or store it here, not both."]
    }


def test_switching_off_a_provider_in_use_says_what_uses_it(operations: Client) -> None:
    page = errors_of(sent(operations, "openai", enabled=""))
    assert "Requests of the routes default go to their other targets." in page
    assert Provider.objects.get(name="openai").enabled


def test_switching_off_the_last_provider_says_that_nothing_could_be_answered(operations: Client) -> None:
    Provider.objects.filter(name="anthropic").update(enabled=False)
    page = errors_of(sent(operations, "openai", enabled=""))
    assert "No target would be left for the routes default: their requests fail." in page
    assert "openai is the last provider that is switched on: no request could be answered." in page


def test_a_provider_in_use_is_switched_off_by_who_is_sure(operations: Client) -> None:
    assert sent(operations, "openai", enabled="", sure="on").status_code == 302
    assert not Provider.objects.get(name="openai").enabled


def test_a_provider_is_tested_after_a_question(operations: Client) -> None:
    Provider.objects.filter(name="openai").update(base_url="http://127.0.0.1:9/v1", health_probe_model="gpt-4-turbo")
    assert "Test openai now?" in operations.get(url_of("openai", "test-now")).content.decode()
    assert not HealthProbe.objects.exists()
    operations.post(url_of("openai", "test-now"), {"confirmed": "yes"})
    assert not HealthProbe.objects.get().ok
