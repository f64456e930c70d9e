"""Rows by the number that somebody outside gave."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)

LARGEST_ID = 2**63 - 1  # of a BigAutoField; a database refuses to be asked for a larger one


def row_of_id(rows: QuerySet[Row], number: int) -> Row | None:
    """None where no row has this number, or none could have."""
    return rows.filter(pk=number).first() if 0 < number <= LARGEST_ID else None
