"""The page of what was asked and answered: for whom it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from gateway.models import ConfigurationChange
from gateway.services.content_writing import Content, content_write
from tests.selectors.rows import add_completion

pytestmark = pytest.mark.django_db

PAGE, CONTENT = "/completions/req_1/", "/completions/req_1/content/"


@pytest.fixture
def kept(db: None) -> None:
    add_completion("req_1")
    now = timezone.now()
    request = b'{"messages": "My <b>number</b> is 4711."}'
    content_write([Content("req_1", now, now + timedelta(days=1), request, len(request), b"Noted", 9)])


@pytest.fixture
def viewer(back_office: None, client: Client) -> Client:
    """Somebody who sees requests, and not what was in them."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_completion"))
    client.force_login(user)
    return client


def test_who_may_sees_it_escaped_with_where_it_was_cut(kept: None, browser_of_operator: Client) -> None:
    page = browser_of_operator.post(CONTENT).content.decode()

    assert "My &lt;b&gt;number&lt;/b&gt; is 4711." in page
    assert "9 bytes, cut at 5 bytes" in page
    assert ConfigurationChange.objects.get().actor == "operator"


def test_the_requests_page_offers_it_and_shows_nothing_of_it(kept: None, browser_of_operator: Client) -> None:
    page = browser_of_operator.get(PAGE).content.decode()

    assert "look-at-content" in page
    assert "4711" not in page
    assert not ConfigurationChange.objects.exists()


def test_who_may_not_is_neither_offered_nor_shown_it(kept: None, viewer: Client) -> None:
    assert "look-at-content" not in viewer.get(PAGE).content.decode()
    refused = viewer.post(CONTENT)
    assert refused.status_code == 403
    assert "4711" not in refused.content.decode()


def test_a_link_never_makes_a_look(kept: None, browser_of_operator: Client) -> None:
    assert browser_of_operator.get(CONTENT).status_code == 405


def test_strangers_are_sent_to_the_login_form(kept: None, back_office: None, client: Client) -> None:
    assert client.post(CONTENT).status_code == 302


def test_where_nothing_is_kept_the_page_says_so(browser_of_operator: Client) -> None:
    assert "Nothing of this request is kept" in browser_of_operator.post(CONTENT).content.decode()
