"""What every row of the configuration has in common, and helpers to declare its numbers."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from gateway.bounds import Bounds

NAME = RegexValidator(
    re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:-]*\Z"),
    "A name is made of letters, digits, dots, underscores, colons and hyphens, and begins with a letter or digit.",
)
ROUTE_NAME = RegexValidator(
    re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*\Z"),
    "A route's name is made of letters, digits and . _ : / @ -, and begins with a letter or digit.",
)
LABEL = RegexValidator(
    re.compile(r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?\Z"),
    "A name must not begin or end with a space or hold control characters.",
)
MODEL_NAME = RegexValidator(
    re.compile(r"^[^\s\x00-\x1f\x7f]+\Z"), "A model's name holds no spaces or control characters."
)


def matches(validator: RegexValidator, value: str) -> bool:
    return re.search(validator.regex, value) is not None


class ConfigurationManager(models.Manager[Any]):
    def alive(self) -> models.QuerySet[Any]:
        """Rows that are in force: not archived."""
        return self.filter(archived_at__isnull=True)


class ConfigurationRow(models.Model):
    """Configuration is archived, never deleted: the ledger keeps referring to it by id."""

    created_at = models.DateTimeField(auto_now_add=True, editable=False)
    archived_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since when this is out of use; empty while it is in use."
    )

    objects: ClassVar[ConfigurationManager] = ConfigurationManager()

    class Meta:
        abstract = True

    @property
    def archived(self) -> bool:
        return self.archived_at is not None

    def archive(self) -> None:
        """Mark as out of use; the caller saves and announces the change."""
        self.archived_at = self.archived_at or timezone.now()


def unique_among_alive(name: str, *fields: str, label: str) -> models.UniqueConstraint:
    return models.UniqueConstraint(
        fields=fields,
        condition=Q(archived_at__isnull=True),
        name=name,
        violation_error_message=f"Another {label} in use has this name.",
    )


def one_of(field: str, words: type, name: str) -> models.CheckConstraint:
    """Only the enumeration's words, whoever writes the row."""
    values = [word.value for word in words]  # type: ignore[attr-defined]
    return models.CheckConstraint(
        condition=Q(**{f"{field}__in": values}) | Q(**{f"{field}__isnull": True}),
        name=name,
        violation_error_message=f"{field} must be one of: {', '.join(values)}.",
    )


def within(name: str, **bounds: Bounds) -> models.CheckConstraint:
    """Every named column lies within its bounds or is null."""
    condition = Q()
    for field, limits in bounds.items():
        low = "gt" if limits.above else "gte"
        inside = Q(**{f"{field}__{low}": limits.minimum}) & Q(**{f"{field}__lte": limits.maximum})
        condition &= inside | Q(**{f"{field}__isnull": True})
    return models.CheckConstraint(
        condition=condition, name=name, violation_error_message="A number is out of its range."
    )


class AboveValidator(MinValueValidator):
    """Strictly more than the limit."""

    message = "Must be more than %(limit_value)s."
    code = "above"

    def compare(self, a: Any, b: Any) -> bool:
        return bool(a <= b)


def inside(bounds: Bounds) -> list[Any]:
    """The form validators of a number."""
    low = AboveValidator(bounds.minimum) if bounds.above else MinValueValidator(bounds.minimum)
    return [low, MaxValueValidator(bounds.maximum)]


def require_unique_text(values: list[str], field: str) -> None:
    """Raises ValidationError when a list names the same thing twice."""
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValidationError({field: f"{', '.join(twice)} is listed twice."})


def percents(value: Any, field: str, bounds: Bounds) -> None:
    """Raises ValidationError unless `value` is a list of different whole numbers within `bounds`."""
    if not isinstance(value, list) or any(
        not isinstance(item, int) or isinstance(item, bool) or not bounds.holds(item) for item in value
    ):
        raise ValidationError({field: f"Must be a list of whole numbers, each {bounds}, such as [50, 80, 100]."})
    if len(set(value)) != len(value):
        raise ValidationError({field: "A percentage is listed twice."})
