"""Questions to the price book about models that are about to be used."""

from __future__ import annotations

from django.utils import timezone

from gateway.models import Price
from gateway.services.price_seed import price_is_listed, prices_seed


def model_is_priced(kind: str, model: str) -> bool:
    """Whether a price is in force; seeds the model's price where the installed price list knows it."""
    begun = Price.objects.alive().filter(kind=kind, model=model).exclude(valid_from__gt=timezone.now())
    if begun.exists():
        return True
    if not price_is_listed(kind, model):
        return False
    prices_seed([(kind, model)])
    return True
