"""The names that reports can be filtered by: what is in use now."""

from __future__ import annotations

from gateway.models import ApiKey, Provider, Route, Target, Team


def filter_names() -> dict[str, tuple[str, ...]]:
    """By filter of addresses (`team`, `api_key`, `route`, `provider`, `model`), each sorted. Five queries."""
    names = {
        filter_name: tuple(model.objects.alive().order_by("name").values_list("name", flat=True))
        for filter_name, model in (("team", Team), ("api_key", ApiKey), ("route", Route), ("provider", Provider))
    }
    models = Target.objects.filter(route__archived_at__isnull=True).order_by("model").values_list("model", flat=True)
    return {**names, "model": tuple(dict.fromkeys(models))}
