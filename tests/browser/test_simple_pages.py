"""The pages of the cheap model and of savings, at every size and in every theme."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from django.urls import reverse

from gateway.models import Price, Route, Target
from tests.browser.conftest import Visit, log_in
from tests.browser.test_screenshots import folder as folder
from tests.browser.test_screenshots import picture_all
from tests.dashboard.simple_rows import add_decided
from tests.selectors.rows import add_completion, add_provider

pytestmark = pytest.mark.browser


def stage_simple() -> None:
    """A route under a percentage with thumbs on both sides, one that only watches, and a few cached answers."""
    provider = add_provider("openai")
    for model, usd in (("gpt-3.5-turbo", "0.5"), ("gpt-4-turbo", "10")):
        Price.objects.create(kind="openai", model=model, input_per_mtok=Decimal(usd), output_per_mtok=Decimal(usd))
    for name, mode in (("default", "50%"), ("support", "shadow")):
        row = Route.objects.create(name=name, simple_mode=mode)
        for model, simple in (("gpt-4-turbo", False), ("gpt-3.5-turbo", True)):
            Target.objects.create(route=row, provider=provider, model=model, simple=simple)
    for number in range(40):
        add_decided(f"req_sent{number:04d}", "sent", thumb=-1 if number % 3 == 0 else 1, team_name="research")
        add_decided(f"req_kept{number:04d}", "kept", thumb=-1 if number == 0 else 1, team_name="research")
        add_decided(f"req_strong{number:04d}", "strong", reason=("tools", "score")[number % 2])
        add_decided(f"req_shadow{number:04d}", "shadow", route_name="support")
    last = add_decided("req_last", "strong")
    add_completion("req_hit", at=last.created_at, cache="hit", saved_usd=Decimal("0.042"), team_name="research")


def test_the_pages_of_the_cheap_model_and_of_savings_fit_their_screens(visit: Visit, folder: Path) -> None:
    stage_simple()
    visit.do(lambda page: log_in(page, visit.base_url))
    pages = {name: visit.base_url + reverse(f"dashboard:{name}") for name in ("simple", "savings")}
    assert picture_all(visit, folder, pages) == []
