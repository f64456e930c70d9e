"""Channels that were made to hear everything there was go on to hear everything there is."""

from django.db import migrations

ALL_BEFORE = {
    "breaker_opened",
    "breaker_closed",
    "budget_threshold",
    "objective_missed",
    "provider_auth_failed",
    "provider_quota_exhausted",
    "budget_blocked",
    "objective_recovered",
    "fallback_rate_high",
    "ledger_spool",
    "drill_finished",
}
LAST_ADDED = "model_retiring"


def hear_all(apps, schema_editor):
    for channel in apps.get_model("gateway", "AlertChannel").objects.all():
        if ALL_BEFORE <= set(channel.events):
            channel.events = ["all"]
            channel.save(update_fields=["events"])


def name_all(apps, schema_editor):
    for channel in apps.get_model("gateway", "AlertChannel").objects.all():
        if channel.events == ["all"]:
            channel.events = [*sorted(ALL_BEFORE), LAST_ADDED]
            channel.save(update_fields=["events"])


class Migration(migrations.Migration):
    dependencies = [("gateway", "0021_batches")]

    operations = [migrations.RunPython(hear_all, name_all)]
