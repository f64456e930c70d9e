"""Who is forgotten leaves amounts behind, and nothing that names them."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from gateway.crypto import decrypt_bytes, encrypt, encrypt_bytes
from gateway.models import (
    Alert,
    ApiKey,
    Batch,
    BatchFile,
    BatchLine,
    Budget,
    BudgetReservation,
    BudgetWindow,
    Completion,
    ConfigurationChange,
    Conversation,
    Feedback,
    IdempotencyRecord,
    StoredContent,
    Team,
    UsageCell,
)
from gateway.selectors.books import books_audit
from gateway.services.configuration import change_record
from gateway.services.forgetting import conversation_forget
from gateway.services.forgetting_keys import key_forget
from gateway.services.forgetting_rows import ROWS_PER_TRANSACTION
from gateway.services.keys import key_create
from gateway.services.rollups import rollups_refresh
from tests.selectors.rows import NOON, add_attempt, add_completion, add_conversation, add_fallback

pytestmark = pytest.mark.django_db

CENT = Decimal("0.01")
WHO = "alice-7781"  # what must not be found anywhere afterwards
LATER = NOON + timedelta(hours=3)


@pytest.fixture
def key() -> ApiKey:
    row, _ = key_create(name=f"{WHO} laptop", actor="ann")
    return row


@pytest.fixture
def traces(key: ApiKey) -> ApiKey:
    """Everything that a conversation of hers leaves behind, and one request of somebody else."""
    Team.objects.create(pk=2, name="research")
    for number in range(3):
        add_trace(f"r{number}", key)
    add_completion("other", cost_usd=CENT, conversation="c-other", api_key_name="others")
    add_conversation("c-other", cost_usd=CENT, completions=1)
    add_conversation(WHO, team_id=2, cost_usd=6 * CENT, completions=3)
    budget = Budget.objects.create(name="cap", scope="conversation", window="total", limit_usd=1)
    window = {"budget_id": budget.pk, "subject": f"2:{WHO}", "window_epoch": 0}
    BudgetWindow.objects.create(**window, spent_usd=6 * CENT, checked_usd=6 * CENT)
    Alert.objects.create(
        kind="budget_threshold", subject=f"cap ({WHO} of research)", message=f"cap ({WHO} of research): 80 % spent",
        opened_at=NOON, opened_by=f"{budget.pk} 2:{WHO} 0 80",
    )  # fmt: skip
    change_record(actor="ann", action="forgotten", section="content", name=f"conversation {WHO} of research")
    rollups_refresh(now=LATER)
    return key


def add_trace(request_id: str, key: ApiKey) -> None:
    check = {"budget_id": 1, "subject": f"2:{WHO}", "budget": "cap"}
    row = add_completion(
        request_id, team_id=2, team_name="research", conversation=WHO, api_key_id=key.pk, api_key_name=key.name,
        cost_usd=2 * CENT, error_message=f"you said: I am {WHO}", budget_checks=[check],
    )  # fmt: skip
    add_attempt(row, 1, cost_usd=CENT, message=f"can't parse {WHO}", outcome="failed", upstream_id=f"req-{WHO}")
    add_attempt(row, 2, cost_usd=CENT, reason=f"after: can't parse {WHO}")
    add_fallback(row, reason=f"can't parse {WHO}")
    now = timezone.now()
    Feedback.objects.create(
        completion=row, api_key_id=key.pk, api_key_name=key.name, score=-1, note=f"{WHO} here", created_at=now,
        updated_at=now,
    )  # fmt: skip
    StoredContent.objects.create(
        completion_id=request_id, delete_at=now + timedelta(days=3), request=encrypt_bytes(WHO.encode()),
        request_bytes=9, answer=b"", answer_bytes=0, kept_at=now,
    )  # fmt: skip
    IdempotencyRecord.objects.create(
        scope=request_id, body_hash="h", owner=request_id, claimed_until=now, expires_at=now, answer=encrypt("hello")
    )


def found_anywhere(text: str) -> list[str]:
    """Tables of ours that hold it in any column, as text."""
    found = []
    for model in apps.get_app_config("gateway").get_models():
        for values in model._default_manager.all().values():
            if text in json.dumps(values, default=str, ensure_ascii=False):
                found.append(f"{model.__name__}: {values}")
    return found


def forget_conversation() -> Any:
    return conversation_forget(conversation=WHO, team_id=2, team="research", actor="ann")


def test_the_scene_has_her_in_every_table_it_is_about(traces: ApiKey) -> None:
    tables = {found.partition(":")[0] for found in found_anywhere(WHO)}
    assert tables >= {"Completion", "Attempt", "Fallback", "Feedback", "BudgetWindow", "Conversation", "Alert"}


def test_a_forgotten_conversation_is_named_nowhere(traces: ApiKey) -> None:
    ApiKey.objects.filter(pk=traces.pk).update(name="laptop")
    for model in (Completion, Feedback, UsageCell):
        model.objects.exclude(api_key_name="others").update(api_key_name="laptop")
    apps.get_model("gateway", "LatencyCell").objects.update(api_key_name="laptop")
    ConfigurationChange.objects.filter(section="api_keys").update(name="laptop")
    forget_conversation()
    assert found_anywhere(WHO) == []
    assert not StoredContent.objects.exists()
    assert not IdempotencyRecord.objects.exists()


def test_amounts_and_sums_stay_as_they_were(traces: ApiKey) -> None:
    before = (books_audit(), list(UsageCell.objects.values_list("cost_usd", flat=True)))
    forgotten = forget_conversation()
    assert (books_audit(), list(UsageCell.objects.values_list("cost_usd", flat=True))) == before
    assert before[0].faults == ()
    assert (forgotten.requests, forgotten.under_way) == (3, 0)
    row = Conversation.objects.get(external_id=forgotten.name)
    assert (row.cost_usd, row.completions) == (6 * CENT, 3)
    assert BudgetWindow.objects.get(subject=f"2:{forgotten.name}").spent_usd == 6 * CENT


def test_others_are_left_alone(traces: ApiKey) -> None:
    forget_conversation()
    assert Completion.objects.get(pk="other").conversation == "c-other"
    assert Conversation.objects.get(external_id="c-other").cost_usd == CENT


def test_the_same_conversation_of_another_team_is_left_alone(traces: ApiKey) -> None:
    add_completion("theirs", team_id=3, conversation=WHO)
    forget_conversation()
    assert Completion.objects.get(pk="theirs").conversation == WHO


def test_history_tells_of_it_without_the_name(traces: ApiKey) -> None:
    forgotten = forget_conversation()
    change = ConfigurationChange.objects.get(action="forgotten", section="requests")
    assert (change.name, change.after) == (f"conversation {forgotten.name} of research", "3 requests forgotten")


def test_requests_under_way_keep_their_reservation_and_are_forgotten_the_next_time(traces: ApiKey) -> None:
    pending = {"team_id": 2, "conversation": WHO, "api_key_name": "laptop"}
    add_completion("slow", status="pending", **pending)
    window = BudgetWindow.objects.get()
    held = {"budget_id": window.budget_id, "subject": window.subject, "window_epoch": 0}
    BudgetReservation.objects.create(completion_id="slow", amount_usd=CENT, **held)
    BudgetWindow.objects.update(reserved_usd=CENT)
    assert forget_conversation().under_way == 1
    assert books_audit().faults == ()
    BudgetReservation.objects.all().delete()
    BudgetWindow.objects.update(reserved_usd=0)
    Completion.objects.filter(pk="slow").update(status="answered")
    add_conversation(WHO, team_id=2, completions=1)
    again = forget_conversation()
    assert (again.requests, again.under_way, books_audit().faults) == (1, 0, ())


def test_a_conversation_longer_than_one_transaction_is_forgotten_whole() -> None:
    for number in range(ROWS_PER_TRANSACTION + 1):
        add_completion(f"r{number}", conversation=WHO, cost_usd=CENT)
    add_conversation(WHO, cost_usd=(ROWS_PER_TRANSACTION + 1) * CENT)
    forgotten = conversation_forget(conversation=WHO, team_id=0, team="", actor="ann")
    assert forgotten.requests == ROWS_PER_TRANSACTION + 1
    assert books_audit().faults == ()


def test_it_goes_on_where_it_was_broken_off(traces: ApiKey) -> None:
    """As if the process had died after its first transaction."""
    name = f"~forgotten-{Conversation.objects.get(external_id=WHO).pk}"
    Completion.objects.filter(pk="r0").update(conversation=name)
    forgotten = forget_conversation()
    assert (forgotten.name, forgotten.requests, books_audit().faults) == (name, 2, ())


def test_a_late_correction_under_the_new_name_is_added_to(traces: ApiKey) -> None:
    row = Conversation.objects.get(external_id=WHO)
    add_conversation(f"~forgotten-{row.pk}", team_id=2, cost_usd=CENT)
    Completion.objects.filter(pk="r0").update(conversation=f"~forgotten-{row.pk}", cost_usd=3 * CENT)
    forgotten = forget_conversation()
    assert Conversation.objects.get(external_id=forgotten.name).cost_usd == 7 * CENT


@pytest.fixture
def batch(key: ApiKey) -> Batch:
    add_completion("line", conversation=WHO, cost_usd=CENT)
    add_conversation(WHO, cost_usd=CENT)
    now = timezone.now()
    common: dict[str, Any] = {"api_key_id": key.pk, "created_at": now, "expires_at": now}
    BatchFile.objects.create(id="file-1", filename="a", purpose="batch", size_bytes=9, **common)
    made = Batch.objects.create(
        id="batch-1", wire="openai", operation="chat", api_key_name=key.name, state="completed", ended_at=now,
        input_file_id="file-1", lease_until=now, metadata={"who": WHO}, **common,
    )  # fmt: skip
    for number, completion in ((1, "line"), (2, "another")):
        BatchLine.objects.create(
            batch=made, number=number, custom_id=f"{WHO}-{number}", state="done", outcome="succeeded",
            completion_id=completion, request=encrypt_bytes(b"{}"), result=encrypt_bytes(b'{"a": 1}'),
        )  # fmt: skip
    return made


def test_its_lines_of_batches_go_with_the_file_they_came_in(batch: Batch) -> None:
    conversation_forget(conversation=WHO, team_id=0, team="", actor="ann")
    hers, another = BatchLine.objects.order_by("number")
    assert (hers.custom_id, bytes(hers.request), bytes(hers.result)) == ("(forgotten) 1", b"", b"")
    assert decrypt_bytes(another.result) == b'{"a": 1}'
    assert not BatchFile.objects.exists()


def test_a_forgotten_key_is_named_nowhere_and_refused(traces: ApiKey, batch: Batch) -> None:
    BatchLine.objects.filter(number=2).delete()
    Completion.objects.filter(pk="line").update(api_key_id=traces.pk, api_key_name=traces.name)
    before = books_audit()
    forgotten = key_forget(key=traces, actor=f"API key {traces.name}")
    assert found_anywhere(WHO) == []
    assert ApiKey.objects.get(pk=traces.pk).archived
    assert (forgotten.requests, books_audit()) == (4, before)
    assert ConfigurationChange.objects.filter(name=f"API key {forgotten.name}", action="forgotten").exists()


def test_a_keys_requests_that_ended_late_are_forgotten_by_its_new_name(traces: ApiKey) -> None:
    add_completion("slow", status="pending", conversation=WHO, api_key_id=traces.pk, api_key_name=traces.name)
    said = io.StringIO()
    call_command("forget", key=traces.name, everything=True, stdout=said)
    name = f"~forgotten-key-{traces.pk}"
    assert f"1 were still under way: do it again with --key {name} when" in said.getvalue()
    Completion.objects.filter(pk="slow").update(status="answered")
    add_conversation(WHO, completions=1)
    call_command("forget", key=name, everything=True)
    assert found_anywhere(WHO) == []


def test_a_person_needs_the_permission_to_forget(traces: ApiKey, client: Client) -> None:
    reader = get_user_model().objects.create_user("reader", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename="view_completion"))
    client.force_login(reader)
    for path in (f"/api/conversations/{WHO}", f"/api/keys/{traces.name}"):
        reply = client.delete(path)
        assert (reply.status_code, "gateway.delete_completion" in reply.json()["error"]["message"]) == (403, True)


def test_sums_made_of_rows_of_the_old_name_meanwhile_are_not_kept(traces: ApiKey) -> None:
    """Whoever adds up at that moment loses its claim."""
    progress = apps.get_model("gateway", "UsageProgress").objects
    progress.update(claimed_by="worker", claimed_until=LATER)
    key_forget(key=traces, actor="ann")
    assert progress.get().claimed_by == ""


def test_a_key_that_other_configuration_needs_is_not_forgotten(traces: ApiKey) -> None:
    Budget.objects.create(name="hers", scope="api_key", api_key=traces, window="total", limit_usd=1)
    with pytest.raises(CommandError, match="is still needed by"):
        call_command("forget", key=traces.name, everything=True)
    assert ApiKey.objects.get(pk=traces.pk).name == traces.name


def test_the_command_tells_what_was_forgotten(traces: ApiKey) -> None:
    said = io.StringIO()
    call_command("forget", conversation=WHO, everything=True, stdout=said)
    assert said.getvalue().startswith("3 requests are forgotten; they are ~forgotten-")


def test_operators_forget_a_conversation_through_the_api(traces: ApiKey, api: Client) -> None:
    reply = api.delete(f"/api/conversations/{WHO}")
    assert reply.status_code == 200
    assert (reply.json()["requests"], reply.json()["under_way"]) == (3, 0)
    assert api.get(f"/api/conversations/{WHO}").status_code == 404


def test_operators_forget_a_key_through_the_api(traces: ApiKey, api: Client) -> None:
    assert api.delete(f"/api/keys/{traces.name}").json()["name"] == f"~forgotten-key-{traces.pk}"
    assert api.delete(f"/api/keys/{traces.name}").status_code == 404


@pytest.fixture
def api() -> Client:
    _, plain = key_create(name="operator", actor="ann", role="operator")
    return Client(headers={"authorization": f"Bearer {plain}"})
