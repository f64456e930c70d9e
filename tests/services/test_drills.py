"""Starting and stopping drills: what every way in relies on."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone

from gateway.engine.drill import DrillFault
from gateway.models import ApiKey, ConfigurationChange, Drill, Provider
from gateway.services.configuration import configuration_version
from gateway.services.drills import RUNNING_MAX, drill_start, drill_stop
from gateway.services.drills_in_force import drills_in_force


@pytest.fixture
def openai(db: None) -> Provider:
    return Provider.objects.create(name="openai", kind="openai", base_url="http://openai.invalid")


def start(provider: Provider | None, **values: Any) -> Drill:
    order: dict[str, Any] = {"fault": DrillFault.UNAVAILABLE, "share_percent": 10, "duration_seconds": 60}
    return drill_start(provider=provider, route=None, actor="tester", **order | values)


def test_a_started_drill_is_in_force_with_all_it_says(openai: Provider) -> None:
    key = ApiKey.objects.create(name="agents", hash="0" * 64)
    row = start(openai, keys=[key])
    (drill,) = drills_in_force()
    assert (drill.id, drill.fault, drill.share_percent) == (row.pk, DrillFault.UNAVAILABLE, 10)
    assert (drill.provider, drill.route_id, drill.key_ids) == ("openai", None, frozenset({key.pk}))
    assert drill.ends_at == row.ends_at.timestamp()


def test_starting_and_stopping_move_the_version_and_leave_history(openai: Provider) -> None:
    before = configuration_version()
    drill_stop(drill=start(openai), actor="another")
    assert configuration_version() == before + 2
    assert list(ConfigurationChange.objects.order_by("pk").values_list("section", "actor")) == [
        ("drills", "tester"),
        ("drills", "another"),
    ]


def test_a_stopped_drill_is_not_in_force_and_says_who_stopped_it(openai: Provider) -> None:
    row = start(openai)
    assert drill_stop(drill=row, actor="another")
    assert drills_in_force() == ()
    assert (row.stopped_by, row.running(timezone.now())) == ("another", False)


def test_what_is_over_can_not_be_stopped(openai: Provider) -> None:
    row = start(openai)
    Drill.objects.update(starts_at=row.starts_at - timedelta(hours=1), ends_at=row.ends_at - timedelta(hours=1))
    assert not drill_stop(drill=row, actor="another")
    assert Drill.objects.get().stopped_at is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"duration_seconds": 3601}, "1 to 3600 seconds"),
        ({"duration_seconds": 0}, "1 to 3600 seconds"),
        ({"share_percent": 101}, "100"),
        ({"note": "x" * 201}, "200"),
    ],
)
def test_a_drill_out_of_bounds_is_refused(openai: Provider, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        start(openai, **wrong)
    assert not Drill.objects.exists()


def test_an_archived_provider_is_refused(openai: Provider) -> None:
    openai.archive()
    openai.save()
    with pytest.raises(ValidationError, match="archived"):
        start(openai)


def test_only_so_many_run_at_once(openai: Provider) -> None:
    for _ in range(RUNNING_MAX):
        start(openai)
    with pytest.raises(ValidationError, match="stop one first"):
        start(openai)


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("drill", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_starts_lists_reports_and_stops(openai: Provider) -> None:
    started = command("start", "--provider=openai", "--fault=cut_stream", "--share=25", "--note=practice")
    drill = Drill.objects.get()
    assert started.startswith(f"started {drill.pk}  cut_stream at openai, 25 % of all requests  running until")
    assert "practice" in command("list")
    assert "0 requests affected" in command("report")
    assert command("stop", str(drill.pk)) == f"drill {drill.pk} is stopped\n"
    assert command("stop", str(drill.pk)) == f"drill {drill.pk} was over already\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("start", "--provider=nobody", "--fault=503"), "There is no provider 'nobody'. There are: openai"),
        (("start", "--fault=503"), "a provider, a route, or both"),
        (("start", "--provider=openai", "--fault=503", "--key=x"), "There is no API key 'x'"),
        (("stop", "99"), "no drill 99"),
        (("report",), "no such drill"),
    ],
)
def test_the_command_says_what_is_wrong(openai: Provider, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        command(*arguments)
