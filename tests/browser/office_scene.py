"""What the admin's lists and forms have to show: a row of every kind, beside `scene`'s day of traffic."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone

from gateway.engine.batch import BatchState, JobState, LineOutcome, LineState
from gateway.models import (
    Alert,
    AlertChannel,
    AlertDelivery,
    Batch,
    Budget,
    Completion,
    Feedback,
    Provider,
    Route,
    SimpleRules,
    Team,
    Workload,
)
from gateway.models.organisation import ONLY_ROW
from gateway.services.budget_raises import budget_raise
from gateway.services.configuration import CHANGED, CREATED, change_record
from gateway.services.keys import key_create
from gateway.services.roles import OPERATOR
from tests.browser.scene import SONNET, STORY_ID, stage_drill

# Every list of the admin and, where it has one, the form for a new row.
LISTED = (
    *("alert", "alertchannel", "alertdelivery", "apikey", "attempt", "batch", "breakerstatus", "breakertransition"),
    *("budget", "budgetwindow", "completion", "configurationchange", "conversation", "drill", "fallback", "feedback"),
    *("healthprobe", "price", "provider", "route", "simplerules", "team", "workload"),
)
ADDED = ("alertchannel", "apikey", "budget", "drill", "price", "provider", "route", "simplerules", "team", "workload")


def stage_office() -> None:
    stage_drill()
    now = timezone.now()
    _configuration()
    _incidents(now)
    _batch(now)
    _people()
    _history()
    Feedback.objects.create(
        completion=Completion.objects.get(pk=STORY_ID),
        api_key_id=1,
        api_key_name="agents",
        score=-1,
        note="The second source it names does not exist.",
        created_at=now,
        updated_at=now,
    )


def _configuration() -> None:
    route = Route.objects.create(name="everyday", aliases=["gpt-4-turbo", "gpt-4-turbo-preview"])
    for position, (provider, model) in enumerate([("openai", "gpt-4-turbo"), ("anthropic", SONNET)]):
        route.targets.create(provider=Provider.objects.get(name=provider), model=model, position=position)
    team = Team.objects.get(name="research")
    key_create(name="nightly-report", actor="ada", team=team, requests_per_minute=60)
    key_create(name="retired-bot", actor="ada", disabled=True)
    Workload.objects.create(name="summaries", tier="simple", team=team)
    SimpleRules.objects.create(note="Fewer false calls at night", made_by="ada", created_at=timezone.now())
    channel = AlertChannel(name="on call", events=["breaker_opened", "breaker_closed", "budget_blocked"])
    channel.set_url("json://127.0.0.1/hooks/on-call")
    channel.save()
    budget_raise(
        budget=Budget.objects.get(name="everything"),
        actor="ada",
        amount_usd=Decimal(500),
        until=timezone.now() + timedelta(days=2),
        reason="The migration runs over the weekend.",
    )


def _incidents(now: datetime) -> None:
    facts = {"kind": "breaker_opened", "subject": "openai", "link": "provider openai"}
    closed: dict[str, Any] = {
        **facts,
        "message": "The breaker of openai opened: forced open by ada: maintenance at the provider.",
        "opened_at": now - timedelta(minutes=300),
        "closed_at": now - timedelta(minutes=180),
        "acknowledged_at": now - timedelta(minutes=298),
        "acknowledged_by": "ada",
        "note": "Planned.",
    }
    Alert.objects.create(opened_by="breaker 4", **closed)
    alert = Alert.objects.create(
        opened_by="breaker 6",
        message="The breaker of openai opened: 5 consecutive failures. Its requests go to the next target.",
        opened_at=now - timedelta(minutes=1),
        **facts,
    )
    told = {"alert": alert, "event": "breaker_opened", "title": "openai: breaker opened", "body": alert.message}
    AlertDelivery.objects.create(channel_id=1, channel_name="on call", next_try_at=now, delivered_at=now, **told)
    AlertDelivery.objects.create(
        channel_id=2,
        channel_name="mail to operations",
        tries=8,
        next_try_at=now,
        given_up_at=now,
        last_error="The mail server at 127.0.0.1:25 refused the connection.",
        **told,
    )


def _batch(now: datetime) -> None:
    batch = Batch.objects.create(
        id="batch_01JDBB4F7Q9ZK3T8M2",
        wire="openai",
        operation="chat_completions",
        team_name="research",
        api_key_id=1,
        api_key_name="nightly-report",
        state=BatchState.IN_PROGRESS,
        endpoint="/v1/chat/completions",
        input_file_id="file-01JDBB4F7Q9ZK3T8M2",
        line_count=3,
        created_at=now - timedelta(minutes=40),
        in_progress_at=now - timedelta(minutes=39),
        expires_at=now + timedelta(hours=23),
        lease_until=now,
    )
    job = batch.jobs.create(
        provider="openai",
        model="gpt-4-turbo",
        token="t",
        state=JobState.RUNNING,
        upstream_id="batch_77",
        created_at=now,
    )
    for number in (1, 2, 3):
        done = {"state": LineState.DONE, "outcome": LineOutcome.SUCCEEDED, "cost_usd": Decimal("0.0042")}
        state: dict[str, Any] = done if number == 1 else {"state": LineState.SENT, "job": job}
        facts = {"custom_id": f"row-{number}", "completion_id": f"req_line{number}", "request": b""}
        batch.lines.create(number=number, provider="openai", model="gpt-4-turbo", **facts, **state)


def _people() -> None:
    ada = User.objects.create_user("ada", "ada@example.org", is_staff=True)
    ada.groups.add(Group.objects.get_or_create(name=OPERATOR)[0])
    User.objects.create_user("newcomer", "newcomer@example.org", is_staff=True)


def _history() -> None:
    steps = (
        ("command line", CREATED, "providers", "openai", "", "name: openai\nkind: openai"),
        ("ada", CHANGED, "budgets", "research day", "limit_usd: '15'", "limit_usd: '20'"),
        ("ada", CHANGED, "breakers", "openai", "open", "reset\nreason: maintenance is over"),
    )
    for actor, action, section, name, before, after in steps:
        change_record(actor=actor, action=action, section=section, name=name, before=before, after=after)


def list_pages() -> dict[str, str]:
    """Every list, by the name of its picture."""
    lists = {f"list-{name}": reverse(f"admin:gateway_{name}_changelist") for name in LISTED}
    return lists | {f"list-{name}": reverse(f"admin:auth_{name}_changelist") for name in ("user", "group")}


def row_pages() -> dict[str, str]:
    """One row of every list, as its page shows it."""
    pages = {f"row-{name}": _row_page("gateway", name) for name in LISTED}
    pages |= {f"row-{name}": _row_page("auth", name) for name in ("user", "group")}
    return pages | {"row-organisation": reverse("admin:gateway_organisation_change", args=[ONLY_ROW])}


def add_pages() -> dict[str, str]:
    pages = {f"add-{name}": reverse(f"admin:gateway_{name}_add") for name in ADDED}
    return pages | {f"add-{name}": reverse(f"admin:auth_{name}_add") for name in ("user", "group")}


def act_pages() -> dict[str, str]:
    """Pages that ask before something is done, and those beside a row."""
    budget, route = Budget.objects.get(name="everything"), Route.objects.get(name="everyday")
    channel, provider = AlertChannel.objects.get(), Provider.objects.get(name="openai")
    acts = {
        "act-raise": ("budget_raise_limit", budget),
        "act-end-raises": ("budget_end_raises", budget),
        "act-send-test": ("alertchannel_send_test_now", channel),
        "act-archive": ("provider_archive_row", provider),
        "act-test-provider": ("provider_test_now", provider),
        "row-history": ("route_history", route),
    }
    pages = {name: reverse(f"admin:gateway_{part}", args=[row.pk]) for name, (part, row) in acts.items()}
    password = reverse("admin:auth_user_password_change", args=[User.objects.get(username="ada").pk])
    named = {"index": reverse("admin:index"), "own-password": reverse("admin:password_change")}
    return pages | named | {"user-password": password}


def _row_page(app: str, name: str) -> str:
    row: Model | None = apps.get_model(app, name)._default_manager.order_by("pk").first()
    assert row is not None, f"nothing staged for {name}"
    return reverse(f"admin:{app}_{name}_change", args=[row.pk])
