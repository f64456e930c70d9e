"""Exporting the configuration."""

from __future__ import annotations

import pytest
from django.db import connection

from gateway.services.configuration_yaml import yaml_read
from gateway.services.export import configuration_export
from tests.services.conftest import Apply


@pytest.mark.parametrize("name", ["small", "full"])
def test_applying_an_export_changes_nothing(apply: Apply, name: str, request: pytest.FixtureRequest) -> None:
    apply(request.getfixturevalue(name))
    assert apply(configuration_export()) == ()


def test_an_export_restores_an_empty_database(apply: Apply, full: str) -> None:
    apply(full)
    exported = configuration_export()
    with connection.cursor() as cursor:
        for table in ("budget", "api_key_routes", "api_key", "target", "route", "provider", "team", "price"):
            cursor.execute(f"DELETE FROM llmops_{table}")  # noqa: S608 - the names stand here
        cursor.execute("DELETE FROM llmops_alert_channel")
        cursor.execute("DELETE FROM llmops_organisation")
    apply(exported)
    assert apply(full) == ()


def test_an_export_holds_no_secret_in_the_clear(apply: Apply, full: str) -> None:
    apply(full)
    exported = configuration_export()
    assert "key_hash" in exported
    for secret in ("stored-provider-secret", "alert-secret", "plain-key-for-tests"):
        assert secret not in exported


def test_fields_with_their_default_are_left_out(apply: Apply, small: str) -> None:
    apply(small)
    assert set(yaml_read(configuration_export())["providers"][0]) == {"name", "kind", "base_url", "api_key_encrypted"}
