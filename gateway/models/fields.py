"""Column types of our own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.db import models

from gateway.ledger.money import pico_to_usd, usd_text, usd_to_pico


class UsdFormField(forms.DecimalField):
    """Shows an amount without the zeros that the column's exactness adds."""

    def prepare_value(self, value: Any) -> Any:
        return usd_text(value) if isinstance(value, Decimal) else value


class UsdField(models.BigIntegerField):  # type: ignore[type-arg]
    """An exact amount: `Decimal` dollars in Python, whole pico-dollars in the column, so that sums in SQL are exact."""

    description = "US dollars, exact to 10⁻¹²"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Decimal | None:
        return None if value is None else pico_to_usd(int(value))

    def to_python(self, value: Any) -> Any:
        if value is None or isinstance(value, Decimal):
            return value
        return Decimal(str(value))

    def get_prep_value(self, value: Any) -> int | None:
        return None if value is None else usd_to_pico(Decimal(str(value)))

    def value_to_string(self, obj: Any) -> str:
        return str(self.value_from_object(obj))

    def formfield(self, **kwargs: Any) -> Any:  # type: ignore[override]
        digits: dict[str, Any] = {"form_class": UsdFormField, "max_digits": 19, "decimal_places": 12}
        return super(models.BigIntegerField, self).formfield(**digits | kwargs)
