"""The configuration's own vocabulary: the choices of its fields."""

from __future__ import annotations

from enum import StrEnum


class ForcedBreaker(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class StreamRecovery(StrEnum):
    CONTINUE = "continue"
    ERROR = "error"
    BUFFER = "buffer"


class CacheScope(StrEnum):
    TEAM = "team"
    ROUTE = "route"


class KeyRole(StrEnum):
    AGENT = "agent"
    OPERATOR = "operator"


class PriceSource(StrEnum):
    SEED = "seed"
    OVERRIDE = "override"


class BudgetScope(StrEnum):
    GLOBAL = "global"
    TEAM = "team"
    API_KEY = "api_key"
    ROUTE = "route"
    PROVIDER = "provider"
    CONVERSATION = "conversation"


class BudgetWindowUnit(StrEnum):
    """A calendar window, or none at all; a window may also be a number of seconds."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class Enforcement(StrEnum):
    BLOCK = "block"
    ALERT = "alert"


class AlertEvent(StrEnum):
    BREAKER_OPENED = "breaker_opened"
    BREAKER_CLOSED = "breaker_closed"
    BUDGET_THRESHOLD = "budget_threshold"
    OBJECTIVE_MISSED = "objective_missed"
    PROVIDER_AUTH_FAILED = "provider_auth_failed"
    PROVIDER_QUOTA_EXHAUSTED = "provider_quota_exhausted"
    BUDGET_BLOCKED = "budget_blocked"
    OBJECTIVE_RECOVERED = "objective_recovered"
    FALLBACK_RATE_HIGH = "fallback_rate_high"
    LEDGER_SPOOL = "ledger_spool"
    DRILL_FINISHED = "drill_finished"
    MODEL_RETIRING = "model_retiring"


def choices(words: type[StrEnum]) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ")) for word in words]
