"""Editing the configuration in the admin."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client

from gateway.admin.base import AnnouncingAdmin
from gateway.models import (
    AlertChannel,
    ApiKey,
    Budget,
    ConfigurationChange,
    Organisation,
    Price,
    Provider,
    Route,
    Team,
)
from gateway.services.configuration import CHANGED, change_record, configuration_version
from gateway.services.configuration_rows import SECTIONS
from gateway.services.keys import key_hash, key_rotate
from gateway.services.snapshot_load import snapshot_load

CONFIGURATION = [section.model for section in SECTIONS] + [Organisation]


def form_of(response: Any) -> dict[str, Any]:
    """What a browser would send back for the shown form, unchanged."""
    data: dict[str, Any] = {}
    context = response.context
    forms = [context["adminform"].form]
    for formset in context["inline_admin_formsets"]:
        forms += [formset.formset.management_form, *formset.formset.forms]
    for form in forms:
        for bound in form:
            value = bound.value()
            if value is not None and value is not False:
                data[bound.html_name] = "on" if value is True else value
    return data


def errors_of(response: Any) -> str:
    assert response.status_code == 200, "the form was accepted"
    return re.sub(r"\s+", " ", response.content.decode())


@pytest.mark.parametrize("model", CONFIGURATION, ids=lambda model: model.__name__)
def test_every_admin_of_the_configuration_announces_its_changes(model: type[Any]) -> None:
    assert isinstance(admin.site.get_model_admin(model), AnnouncingAdmin)


@pytest.mark.parametrize("model", CONFIGURATION, ids=lambda model: model.__name__)
def test_configuration_is_never_deleted(model: type[Any], rf: Any) -> None:
    assert not admin.site.get_model_admin(model).has_delete_permission(rf.get("/"))


@pytest.mark.parametrize("model", [Provider, Route, Team], ids=lambda model: model.__name__)
def test_a_form_sent_back_unchanged_changes_nothing(operations: Client, configured: None, model: type[Any]) -> None:
    row = model.objects.alive().first()
    url = f"/admin/gateway/{model._meta.model_name}/{row.pk}/change/"
    changes = ConfigurationChange.objects.count()
    assert operations.post(url, form_of(operations.get(url))).status_code == 302
    assert ConfigurationChange.objects.count() == changes


def test_an_edit_is_live_and_kept_in_history(operations: Client, configured: None) -> None:
    row = Provider.objects.get(name="openai")
    url = f"/admin/gateway/provider/{row.pk}/change/"
    version = configuration_version()
    operations.post(url, form_of(operations.get(url)) | {"retries": "1"})
    assert configuration_version() == version + 1
    assert snapshot_load().providers["openai"].retry.retries == 1
    change = ConfigurationChange.objects.latest("pk")
    assert (change.actor, change.section, change.before, change.after) == (
        "operations",
        "providers",
        "retries=3",
        "retries=1",
    )


def test_a_providers_key_is_kept_unless_a_new_one_is_entered(operations: Client, configured: None) -> None:
    row = Provider.objects.get(name="openai")
    url = f"/admin/gateway/provider/{row.pk}/change/"
    operations.post(url, form_of(operations.get(url)) | {"api_key": ""})
    row.refresh_from_db()
    assert row.stored_api_key() == "first-provider-secret"
    operations.post(url, form_of(operations.get(url)) | {"api_key": "entered-secret"})
    row.refresh_from_db()
    assert row.stored_api_key() == "entered-secret"


def test_naming_a_variable_forgets_the_stored_key(operations: Client, configured: None) -> None:
    row = Provider.objects.get(name="openai")
    url = f"/admin/gateway/provider/{row.pk}/change/"
    operations.post(url, form_of(operations.get(url)) | {"api_key_env": "SOME_KEY"})
    row.refresh_from_db()
    assert (row.api_key_env, row.api_key_encrypted) == ("SOME_KEY", "")


def test_a_rows_history_tells_what_was_before_and_after_whoever_changed_it(
    operations: Client, configured: None
) -> None:
    row = Provider.objects.get(name="openai")
    url = f"/admin/gateway/provider/{row.pk}/"
    operations.post(f"{url}change/", form_of(operations.get(f"{url}change/")) | {"retries": "1"})
    change_record(actor="apply", action=CHANGED, section="providers", name="openai", after="retries=2")
    change_record(actor="apply", action=CHANGED, section="providers", name="another", after="retries=2")

    listed = operations.get(f"{url}history/", follow=True)

    told = [(change.actor, change.after) for change in listed.context["cl"].result_list]
    assert told[:2] == [("apply", "retries=2"), ("operations", "retries=1")]


def test_history_is_djangos_own_for_whoever_may_not_see_changes(client: Client, configured: None) -> None:
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_provider"))
    client.force_login(reader)
    row = Provider.objects.get(name="openai")
    assert client.get(f"/admin/gateway/provider/{row.pk}/history/").status_code == 200


@pytest.mark.parametrize("page", ["", "{pk}/change/", "{pk}/history/"])
def test_no_page_shows_a_providers_key(operations: Client, configured: None, page: str) -> None:
    row = Provider.objects.get(name="openai")
    url = "/admin/gateway/provider/" + page.format(pk=row.pk)
    html = operations.get(url, follow=True).content.decode()
    assert "first-provider-secret" not in html
    assert row.api_key_encrypted not in html


def test_a_taken_name_is_an_error_in_the_form(operations: Client, configured: None) -> None:
    response = operations.post("/admin/gateway/team/add/", {"name": "research"})
    assert "Another team in use has this name." in errors_of(response)


def test_the_order_of_a_routes_targets_can_be_changed(operations: Client, configured: None) -> None:
    row = Route.objects.get(name="default")
    url = f"/admin/gateway/route/{row.pk}/change/"
    swapped = {"targets-0-position": "1", "targets-1-position": "0"}
    assert operations.post(url, form_of(operations.get(url)) | swapped).status_code == 302
    assert [target.provider.name for target in snapshot_load().routes["default"].targets] == ["anthropic", "openai"]


def test_another_target_can_become_the_simple_one(operations: Client, configured: None) -> None:
    row = Route.objects.get(name="default")
    first, second = row.targets.all()
    row.targets.create(provider=first.provider, model="gpt-3.5-turbo", simple=True)
    url = f"/admin/gateway/route/{row.pk}/change/"
    data = form_of(operations.get(url)) | {"targets-0-simple": "on"}
    del data["targets-2-simple"]
    data["targets-2-position"] = "7"
    assert operations.post(url, data).status_code == 302
    route = snapshot_load().routes["default"]
    assert route.simple_target is not None
    assert route.simple_target.model == first.model
    assert [target.model for target in route.targets] == [second.model, "gpt-3.5-turbo"]


def test_a_target_without_a_price_is_refused(operations: Client, configured: None) -> None:
    row = Route.objects.get(name="default")
    url = f"/admin/gateway/route/{row.pk}/change/"
    response = operations.post(url, form_of(operations.get(url)) | {"targets-0-model": "gpt-unheard-of"})
    assert "No price is known for gpt-unheard-of" in errors_of(response)


def test_a_route_keeps_at_least_one_target(operations: Client, configured: None) -> None:
    row = Route.objects.get(name="default")
    url = f"/admin/gateway/route/{row.pk}/change/"
    gone = {"targets-0-DELETE": "on", "targets-1-DELETE": "on"}
    response = operations.post(url, form_of(operations.get(url)) | gone)
    assert "A route needs at least one target" in errors_of(response)


def test_aliases_are_written_one_a_line(operations: Client, configured: None) -> None:
    row = Route.objects.get(name="default")
    url = f"/admin/gateway/route/{row.pk}/change/"
    operations.post(url, form_of(operations.get(url)) | {"aliases": "one\r\n\r\n two \r\n"})
    row.refresh_from_db()
    assert row.aliases == ["one", "two"]


def test_a_new_key_is_shown_once(operations: Client, configured: None) -> None:
    data = {"name": "agents", "role": "agent", "all_routes": "on"}
    page = operations.post("/admin/gateway/apikey/add/", data, follow=True).content.decode()
    found = re.search(r"sk-llmops-[\w-]{43}", page)
    assert found is not None
    assert snapshot_load().keys[key_hash(found.group())].name == "agents"
    row = ApiKey.objects.get(name="agents")
    for url in ("/admin/gateway/apikey/", f"/admin/gateway/apikey/{row.pk}/change/"):
        shown = operations.get(url).content.decode()
        assert row.prefix in shown
        assert found.group() not in shown
        assert row.hash not in shown


def test_a_key_whose_form_is_refused_is_not_shown(operations: Client, configured: None) -> None:
    page = operations.post("/admin/gateway/apikey/add/", {"name": "", "role": "agent"}).content.decode()
    assert not re.search(r"sk-llmops-[\w-]{43}", page)


def test_what_is_still_needed_cannot_be_archived(operations: Client, configured: None) -> None:
    row = Provider.objects.get(name="openai")
    data = {"action": "archive", "_selected_action": [row.pk], "confirmed": "yes"}
    page = operations.post("/admin/gateway/provider/", data, follow=True).content.decode()
    assert "openai was not archived: openai is still needed by the route &quot;default&quot;." in page
    row.refresh_from_db()
    assert not row.archived


def test_archiving_and_restoring_are_announced(operations: Client, configured: None) -> None:
    row = Team.objects.get(name="research")
    version = configuration_version()
    for action, archived in (("archive", True), ("restore", False)):
        url = "/admin/gateway/team/?archived=all"
        operations.post(url, {"action": action, "_selected_action": [row.pk], "confirmed": "yes"})
        row.refresh_from_db()
        assert row.archived is archived
    assert configuration_version() == version + 2


def test_what_needs_something_archived_is_not_restored(operations: Client, configured: None) -> None:
    team = Team.objects.get(name="research")
    key = ApiKey.objects.create(name="k", hash="h", team=team, archived_at=team.created_at)
    operations.post("/admin/gateway/team/", {"action": "archive", "_selected_action": [team.pk], "confirmed": "yes"})
    url = "/admin/gateway/apikey/?archived=yes"
    page = operations.post(url, {"action": "restore", "_selected_action": [key.pk]}, follow=True).content.decode()
    assert "It needs research, which is archived" in page


def test_a_list_shows_what_is_in_use(operations: Client, configured: None) -> None:
    Team.objects.create(name="bygone").archive()
    gone = Team.objects.get(name="bygone")
    gone.archive()
    gone.save()
    assert "bygone" not in operations.get("/admin/gateway/team/").content.decode()
    assert "bygone" in operations.get("/admin/gateway/team/?archived=yes").content.decode()


def test_a_new_price_takes_the_place_of_the_one_in_use(operations: Client, configured: None) -> None:
    data = {"kind": "openai", "model": "gpt-4-turbo", "output_per_mtok": "30", "batch_factor": "0.5"}
    data["supersede"] = "on"
    for amount in ("11", "12"):
        assert operations.post("/admin/gateway/price/add/", data | {"input_per_mtok": amount}).status_code == 302
    own = Price.objects.filter(source="override").order_by("pk")
    assert [(row.input_per_mtok, row.archived) for row in own] == [(11, True), (12, False)]


def test_a_budget_keeps_only_the_subject_of_its_scope(operations: Client, configured: None) -> None:
    team, route = Team.objects.get(), Route.objects.get()
    data = {"name": "b", "scope": "team", "team": team.pk, "route": route.pk, "span": "month", "limit_usd": "12.50"}
    data |= {"enforcement": "block", "alert_at_percent": "50, 80"}
    assert operations.post("/admin/gateway/budget/add/", data).status_code == 302
    budget = Budget.objects.get()
    assert (budget.subject, budget.route, budget.alert_at_percent, str(budget.limit_usd)) == (
        team,
        None,
        [50, 80],
        "12.500000000000",
    )


def test_an_alert_channels_address_is_stored_and_never_shown(operations: Client, configured: None) -> None:
    data = {"name": "ops", "url": "json://user:channel-secret@x.test", "events": ["breaker_opened"]}
    assert operations.post("/admin/gateway/alertchannel/add/", data).status_code == 302
    row = AlertChannel.objects.get()
    assert row.url() == data["url"]
    page = operations.get(f"/admin/gateway/alertchannel/{row.pk}/change/").content.decode()
    assert "channel-secret" not in page


def test_the_organisation_has_one_form(operations: Client, configured: None) -> None:
    response = operations.get("/admin/gateway/organisation/", follow=True)
    url = response.request["PATH_INFO"]
    operations.post(url, form_of(response) | {"time_zone": "Europe/Berlin"})
    assert snapshot_load().zone.key == "Europe/Berlin"
    assert ConfigurationChange.objects.latest("pk").after == "time_zone=Europe/Berlin"


@pytest.mark.parametrize("model", ["provider", "route", "team", "apikey", "budget", "price"])
def test_a_list_takes_the_same_queries_for_one_row_as_for_many(
    operations: Client, configured: None, model: str, django_assert_max_num_queries: Any
) -> None:
    fill()
    with django_assert_max_num_queries(12):
        assert operations.get(f"/admin/gateway/{model}/").status_code == 200


def fill() -> None:
    """Twenty rows of each kind."""
    base = Provider.objects.get(name="openai")
    for number in range(20):
        provider = Provider.objects.create(name=f"p{number}", kind="openai", base_url="https://x.test")
        route = Route.objects.create(name=f"r{number}")
        route.targets.create(provider=provider, model="gpt-4o")
        route.targets.create(provider=base, model="gpt-4o", position=1)
        team = Team.objects.create(name=f"t{number}")
        key = ApiKey.objects.create(name=f"k{number}", hash=str(number), team=team)
        key_rotate(key=key, actor="tester")
        Budget.objects.create(name=f"b{number}", scope="team", team=team, limit_usd=1)
