"""One look at everything that may be worth telling. Any process may do it at any time: nothing is told twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from django.db import InterfaceError, OperationalError

from gateway.alerts.accounts import account_alerts_derive
from gateway.alerts.breakers import breaker_alerts_derive
from gateway.alerts.budget_refusals import budget_refusals_derive
from gateway.alerts.budget_thresholds import budget_thresholds_derive
from gateway.alerts.drills import drill_alerts_derive
from gateway.alerts.incidents import incidents_expire
from gateway.alerts.rates import rate_alerts_derive
from gateway.alerts.retirements import retirement_alerts_derive
from gateway.alerts.spool import SPOOL_WATCH

logger = logging.getLogger("gateway.alerts")


def _spool_alerts_derive(*, now: datetime) -> int:
    return SPOOL_WATCH.derive(SPOOL_WATCH.look(), now=now)


# What ends goes first: a subject has one open incident of a kind.
PARTS: tuple[Callable[..., int], ...] = (
    _spool_alerts_derive,
    breaker_alerts_derive,
    incidents_expire,
    budget_thresholds_derive,
    budget_refusals_derive,
    account_alerts_derive,
    drill_alerts_derive,
    rate_alerts_derive,
    retirement_alerts_derive,
)


def alerts_derive(*, now: datetime) -> int:
    """How many incidents were opened or closed. One part's failure keeps no other from being told."""
    changed = 0
    for part in PARTS:
        try:
            changed += part(now=now)
        except (OperationalError, InterfaceError):  # the database is away: no other part would fare better
            raise
        except Exception:
            logger.exception("alerts: %s failed; the next sweep tries again", part.__name__)
    return changed
