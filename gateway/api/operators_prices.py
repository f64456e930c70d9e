"""Prices in the operators' API: what the installed price list has new, seen or taken over."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from gateway.api import operators_schemas as schemas
from gateway.api.operators_access import operator_allowed
from gateway.api.operators_errors import only_parameters
from gateway.api.operators_schemas import CALLER_FAULTS
from gateway.services.permissions import CHANGE_PRICES
from gateway.services.price_refresh import PriceChange, price_refresh, price_refresh_preview

router = Router()


class PriceStep(Schema):
    """One number of a price; `percent` is how much dearer it becomes."""

    column: str
    before: str | None
    after: str | None
    percent: Decimal | None


class RefreshedPrice(Schema):
    """`added` replaces no version; `overridden` waits behind a price of operations' own."""

    key: str
    kind: str
    model: str
    valid_from: schemas.Moment | None
    added: bool
    in_use: bool
    overridden: bool
    steps: list[PriceStep]


class Refresh(Schema):
    dry_run: bool
    changes: list[RefreshedPrice] = Field(description="Models in use first.")


@router.post("/refresh", response={200: Refresh, **CALLER_FAULTS}, summary="Take over the installed list's new prices")
def refresh(request: HttpRequest, dry_run: bool = False) -> dict[str, Any]:
    """With `dry_run` nothing changes. Prices of operations' own are never touched."""
    only_parameters(request, "dry_run")
    operator = operator_allowed(request, CHANGE_PRICES)
    changes: tuple[PriceChange, ...] = price_refresh_preview() if dry_run else price_refresh(actor=operator.actor)
    return {"dry_run": dry_run, "changes": list(changes)}
