"""Workloads and the scorer's rules in the admin."""

from __future__ import annotations

import pytest
from django.test import Client

from gateway.models import ConfigurationChange, SimpleRules, Team, Workload
from gateway.services.simple_configuration import simple_rules_in_force, simple_rules_of

ADD_RULES = "/admin/gateway/simplerules/add/"


def form_of(browser: Client, address: str = ADD_RULES) -> dict[str, str]:
    """The form as it is shown, to send it with changes."""
    form = browser.get(address, follow=True).context["adminform"].form
    return {name: str(form.get_initial_for_field(field, name) or "") for name, field in form.fields.items()}


def test_a_workload_is_made_and_recorded(operations: Client) -> None:
    team = Team.objects.create(name="research")
    form = {"name": "short work", "tier": "simple", "team": team.pk}
    assert operations.post("/admin/gateway/workload/add/", form).status_code == 302
    assert Workload.objects.get().team == team
    assert ConfigurationChange.objects.get(section="workloads").name == "short work"


def test_a_workload_without_a_condition_is_refused_in_words(operations: Client) -> None:
    page = operations.post("/admin/gateway/workload/add/", {"name": "all", "tier": "simple"})
    assert "Give at least one condition" in page.content.decode()


def test_the_rules_form_begins_with_the_rules_in_force_and_saves_a_new_version(operations: Client) -> None:
    for code in ("1.5", "0"):
        form = {**form_of(operations), "weight_code": code}
        assert operations.post(ADD_RULES, form).status_code == 302
    assert SimpleRules.objects.count() == 2
    assert simple_rules_in_force().weights["code"] == 0
    assert simple_rules_in_force().weights["easy_task"] == -0.2


def test_a_weight_beyond_its_bounds_is_refused(operations: Client) -> None:
    page = operations.post(ADD_RULES, {**form_of(operations), "weight_code": "7"})
    assert page.status_code == 200
    assert not SimpleRules.objects.exists()


@pytest.mark.parametrize(("address", "threshold"), [("reset", 0.3), ("{first}/use-again", 0.5)])
def test_older_rules_can_be_taken_up_again(operations: Client, address: str, threshold: float) -> None:
    for each in ("0.5", "0.6"):
        operations.post(ADD_RULES, {**form_of(operations), "threshold": each})
    first = SimpleRules.objects.order_by("pk")[0].pk
    form = form_of(operations, f"/admin/gateway/simplerules/{address.format(first=first)}")
    operations.post(ADD_RULES, form)
    assert simple_rules_in_force().threshold == threshold


def test_a_version_is_shown_and_cant_be_changed(operations: Client) -> None:
    operations.post(ADD_RULES, form_of(operations))
    row = SimpleRules.objects.get()
    assert "code +0.4" in operations.get(f"/admin/gateway/simplerules/{row.pk}/change/").content.decode()
    assert operations.post(f"/admin/gateway/simplerules/{row.pk}/change/", {"threshold": 9}).status_code == 403
    rules = simple_rules_of(row.pk)
    assert rules is not None
    assert rules.threshold == 0.3
