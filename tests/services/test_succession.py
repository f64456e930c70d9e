"""A retired model's successor takes its place in a route."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from gateway.models import ConfigurationChange, Price, Target
from gateway.services.configuration import configuration_version
from gateway.services.price_seed import prices_seed
from gateway.services.snapshot_load import snapshot_load
from gateway.services.succession import succession_of, target_succeed
from tests.services.conftest import SMALL, Apply

pytestmark = pytest.mark.django_db


@pytest.fixture
def retired(apply: Apply) -> Target:
    apply(SMALL)
    return Target.objects.get(model="gpt-4-turbo")


def test_the_successor_takes_the_targets_place(retired: Target) -> None:
    target_succeed(target=retired, actor="tester")
    names = [target.model for target in snapshot_load().routes["default"].targets]
    assert names == ["gpt-6.1-sol", "claude-3-5-sonnet-20241022"]


def test_it_is_announced_and_remembered(retired: Target) -> None:
    version = configuration_version()
    target_succeed(target=retired, actor="tester")
    row = ConfigurationChange.objects.latest("pk")
    assert configuration_version() > version
    assert (row.actor, row.section, row.name) == ("tester", "routes", "default")
    assert "gpt-6.1-sol" in row.after


def test_the_difference_in_price_is_told(retired: Target) -> None:
    steps = succession_of(retired).steps
    # 10 → 2 in, 10 → 0.10 cached (the old one had no price for it), 30 → 10 out
    assert [(step.title, str(step.percent)) for step in steps] == [
        ("input", "-80.0"),
        ("cached input", "-99.0"),
        ("output", "-66.7"),
    ]


def test_what_the_successor_does_not_take_is_told(retired: Target) -> None:
    assert succession_of(retired).lost == ("sampling", "stop sequences")


def test_a_successor_without_a_price_is_refused(retired: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    Price.objects.filter(model="gpt-6.1-sol").delete()
    monkeypatch.setattr("gateway.services.price_book.price_is_listed", lambda kind, model: False)
    with pytest.raises(ValidationError, match=r"gpt-6.1-sol has no price yet; add one under Prices first"):
        target_succeed(target=retired, actor="tester")
    assert Target.objects.get(pk=retired.pk).model == "gpt-4-turbo"


def test_a_model_without_a_known_successor_says_what_to_do(retired: Target) -> None:
    prices_seed()
    retired.model = "gpt-4o"
    retired.save()
    with pytest.raises(ValidationError, match="No successor of gpt-4o is known"):
        succession_of(retired)
