"""A line in the log for each completion (`LLMOPS_LOG_REQUESTS=on`): who asked, what answered, what it took.

Names, ids and numbers only; what was said is never part of it.
"""

from __future__ import annotations

import logging
from typing import Any

from gateway.ledger.money import usd_text
from gateway.ledger.records import FallbackRecord, Intent, Settlement

logger = logging.getLogger("gateway.requests")
fallback_logger = logging.getLogger("gateway.fallback")


def request_logged(intent: Intent, settlement: Settlement) -> None:
    """One line about a settled completion, if operations want them."""
    if logger.isEnabledFor(logging.INFO):
        facts = _facts(intent, settlement)
        logger.info(" ".join(f"{name}={value}" for name, value in facts.items()), extra={"facts": facts})


def _facts(intent: Intent, settlement: Settlement) -> dict[str, Any]:
    usage = settlement.usage
    return {
        "request": intent.id,
        "conversation": intent.conversation,
        "api_key": intent.api_key_name,
        "api_key_id": intent.api_key_id,
        "team": intent.team_name,
        "operation": intent.operation,
        "stream": intent.stream,
        "route": intent.route_name,
        "provider": settlement.provider,
        "model": settlement.model,
        "status": settlement.http_status,
        "error": settlement.error_code,
        "attempts": len(settlement.attempts),
        "fallback": bool(settlement.fallbacks),
        "cache": settlement.cache,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": usd_text(settlement.cost_usd),
        "latency_ms": settlement.latency_ms,
        "first_content_ms": settlement.first_content_ms,
    }


def fallback_logged(intent: Intent, fallback: FallbackRecord) -> None:
    facts = {
        "request": intent.id,
        "conversation": intent.conversation,
        "api_key_id": intent.api_key_id,
        "route": intent.route_name,
        "from": fallback.from_target,
        "to": fallback.to_target,
        "after_ms": fallback.after_ms,
        "extra_cost_usd": usd_text(fallback.extra_cost_usd),
        "reason": fallback.reason,
    }
    fallback_logger.warning(
        "fallback %s", " ".join(f"{name}={value}" for name, value in facts.items()), extra={"facts": facts}
    )
