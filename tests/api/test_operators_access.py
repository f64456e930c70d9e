from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from tests.api.conftest import OPERATOR_KEY, add_key, bearer
from tests.selectors.rows import add_provider

pytestmark = pytest.mark.django_db

FORCE_OPEN = {"action": "force_open", "reason": "maintenance"}


def error_of(response: Any) -> dict[str, Any]:
    """The error, whose shape is always the same."""
    document = response.json()
    assert set(document) == {"error"}
    assert set(document["error"]) in ({"code", "message"}, {"code", "message", "param"})
    return dict(document["error"])


def staff(name: str, *permissions: str, **values: Any) -> User:
    user = User.objects.create(username=name, **{"is_staff": True, **values})
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions, content_type__app_label="gateway"))
    return user


def person(user: User, *, csrf: bool = True) -> Client:
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(user)
    return client


@pytest.mark.parametrize("headers", [bearer(OPERATOR_KEY), {"x-api-key": OPERATOR_KEY}], ids=["bearer", "x-api-key"])
def test_an_operators_key_is_taken_from_either_header(operator_key: str, headers: dict[str, str]) -> None:
    assert Client(headers=headers).get("/api/breakers").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status", "code", "part"),
    [
        pytest.param({}, 401, "invalid_api_key", "No API key", id="none"),
        pytest.param(bearer("sk-llmops-nobody"), 401, "invalid_api_key", "Unknown", id="unknown"),
        pytest.param(bearer("\u00ff" * 9), 401, "invalid_api_key", "Unknown", id="not ASCII"),
        pytest.param({"Authorization": "Bearer "}, 401, "invalid_api_key", "No API key", id="empty"),
        pytest.param(
            {"Authorization": "Basic b3BzOm9wcw=="}, 401, "invalid_api_key", "No API key", id="another scheme"
        ),
        pytest.param(bearer("sk-llmops-agent"), 403, "not_allowed", "role operator", id="an agent's"),
        pytest.param(bearer("sk-llmops-disabled"), 401, "invalid_api_key", "disabled", id="disabled"),
        pytest.param(bearer("sk-llmops-expired"), 401, "invalid_api_key", "expired", id="expired"),
        pytest.param(bearer("sk-llmops-archived"), 401, "invalid_api_key", "Unknown", id="archived"),
    ],
)
def test_every_other_key_is_refused_with_the_reason(headers: dict[str, str], status: int, code: str, part: str) -> None:
    now = timezone.now()
    add_key("agent", "sk-llmops-agent")
    add_key("disabled", "sk-llmops-disabled", role="operator", disabled=True)
    add_key("expired", "sk-llmops-expired", role="operator", expires_at=now - timedelta(seconds=1))
    add_key("archived", "sk-llmops-archived", role="operator", archived_at=now)

    response = Client(headers=headers).get("/api/status")

    assert response.status_code == status
    error = error_of(response)
    assert error["code"] == code
    assert part in error["message"]


def test_no_answer_repeats_the_key() -> None:
    assert "sk-llmops-nobody" not in Client(headers=bearer("sk-llmops-nobody")).get("/api/status").content.decode()


def test_a_person_who_may_view_completions_may_read() -> None:
    assert person(staff("reader", "view_completion")).get("/api/spend").status_code == 200


@pytest.mark.parametrize(
    ("values", "permissions"),
    [
        pytest.param({}, (), id="without the permission"),
        pytest.param({"is_staff": False}, ("view_completion",), id="not staff"),
    ],
)
def test_a_person_who_may_not_is_told_which_permission_is_missing(
    values: dict[str, Any], permissions: tuple[str, ...]
) -> None:
    response = person(staff("somebody", *permissions, **values)).get("/api/spend")

    assert response.status_code == 403
    assert error_of(response)["code"] == "not_allowed"
    assert "gateway.view_completion" in error_of(response)["message"]


def test_a_reader_may_not_order_breakers_about() -> None:
    add_provider("openai")

    response = person(staff("reader", "view_completion"), csrf=False).post(
        "/api/breakers/openai", FORCE_OPEN, content_type="application/json"
    )

    assert response.status_code == 403
    assert "gateway.change_provider" in error_of(response)["message"]


def test_a_session_needs_the_csrf_token_to_change_something() -> None:
    add_provider("openai")
    client = person(staff("operator", "view_completion", "change_provider"))

    refused = client.post("/api/breakers/openai", FORCE_OPEN, content_type="application/json")
    client.get("/api/docs")
    token = client.cookies["csrftoken"].value
    taken = client.post(
        "/api/breakers/openai", FORCE_OPEN, content_type="application/json", headers={"X-CSRFToken": token}
    )

    assert refused.status_code == 403
    assert "CSRF" in error_of(refused)["message"]
    assert taken.status_code == 200


def test_a_key_needs_no_csrf_token(operator_key: str) -> None:
    add_provider("openai")
    client = Client(enforce_csrf_checks=True, headers=bearer(operator_key))

    assert client.post("/api/breakers/openai", FORCE_OPEN, content_type="application/json").status_code == 200


def test_a_stranger_who_changes_something_is_asked_for_a_key() -> None:
    client = Client(enforce_csrf_checks=True)

    assert client.post("/api/breakers/openai", FORCE_OPEN, content_type="application/json").status_code == 401


@pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/breakers/", "/api/breakers/a/b"])
def test_an_unknown_path_is_a_404_in_the_same_shape(api: Client, path: str) -> None:
    response = api.get(path)

    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"


def test_a_wrong_method_is_told_the_right_ones(api: Client) -> None:
    response = api.delete("/api/breakers/openai")

    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert error_of(response)["code"] == "method_not_allowed"


def test_a_misspelt_parameter_is_not_ignored(api: Client) -> None:
    response = api.get("/api/spend?groupby=team")

    assert response.status_code == 400
    assert error_of(response) == {
        "code": "invalid_request",
        "message": "Unknown query parameter 'groupby'; known here: group_by, from, to, limit.",
        "param": "groupby",
    }


def test_an_oversized_body_is_refused(api: Client) -> None:
    response = api.post("/api/breakers/openai", "x" * 3_000_000, content_type="application/json")

    assert response.status_code == 413
    assert error_of(response)["code"] == "request_too_large"


def test_answers_are_never_cached(api: Client) -> None:
    assert "no-store" in api.get("/api/budgets").headers["Cache-Control"]


def test_the_documentation_loads_nothing_from_elsewhere() -> None:
    page = person(staff("reader", "view_completion")).get("/api/docs").content.decode()

    assert "/static/ninja/swagger-ui-bundle.js" in page
    assert "://" not in page


def test_the_page_to_try_it_out_sends_strangers_to_the_login_form(client: Client) -> None:
    response = client.get("/api/docs")

    assert (response.status_code, response["Location"]) == (302, "/admin/login/?next=/api/docs")


def test_the_description_is_for_whoever_may_use_the_api(client: Client, api: Client) -> None:
    assert client.get("/api/openapi.json").status_code == 401
    assert person(staff("newcomer")).get("/api/openapi.json").status_code == 403
    assert person(staff("reader", "view_completion")).get("/api/openapi.json").status_code == 200
    assert api.get("/api/openapi.json").status_code == 200


def test_the_description_types_every_answer(api: Client) -> None:
    document = api.get("/api/openapi.json").json()

    assert set(document["paths"]) == {
        "/api/breakers",
        "/api/breakers/{provider}",
        "/api/spend",
        "/api/conversations",
        "/api/conversations/{id}",
        "/api/conversations/{id}/content",
        "/api/completions.csv",
        "/api/attempts.csv",
        "/api/completions/{request_id}",
        "/api/budgets",
        "/api/budgets/{name}/raise",
        "/api/cache/purge",
        "/api/keys",
        "/api/keys/{name}",
        "/api/batches",
        "/api/batches/{id}",
        "/api/batches/{id}/cancel",
        "/api/drills",
        "/api/drills/{id}",
        "/api/drills/{id}/stop",
        "/api/prices/refresh",
        "/api/providers/{provider}/test",
        "/api/routes/{name}/dry-run",
        "/api/alerts",
        "/api/alerts/{id}/acknowledge",
        "/api/alert-channels/{name}/test",
        "/api/alert-messages",
        "/api/changes",
        "/api/alert-messages/{id}/retry",
        "/api/status",
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if not path.endswith(".csv"):
                answers = [reply for status, reply in operation["responses"].items() if status in ("200", "201")]
                assert [answer["content"]["application/json"]["schema"] for answer in answers]
            assert operation["security"]
