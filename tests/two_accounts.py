"""A configuration with two providers of kind openai: what only that kind can serve has somewhere to fall back to."""

from __future__ import annotations

from typing import Any

from tests.gateway_process import GPT_4_TURBO, configuration, provider

EMBEDDING_MODEL = "text-embedding-3-small"
# What tells the simulator's two OpenAI accounts apart: a fault with this tag hits the first alone.
FIRST_ACCOUNT = "first-account"


def with_two_openai_accounts(simulator_url: str) -> dict[str, Any]:
    """The usual configuration, and two accounts at OpenAI with routes through both."""
    document = configuration(simulator_url)
    url = f"{simulator_url}/openai/v1"
    document["providers"] += [
        {**provider("openai", url), "name": "first", "extra_headers": {"x-simulator-fault": FIRST_ACCOUNT}},
        {**provider("openai", url), "name": "second"},
    ]
    accounts = ("first", "second")
    document["routes"] += [
        {"name": "two-accounts", "targets": [{**GPT_4_TURBO, "provider": name} for name in accounts]},
        {"name": "embeddings", "targets": [{"provider": name, "model": EMBEDDING_MODEL} for name in accounts]},
    ]
    document["routes"].append({**document["routes"][-2], "name": "bounded", "max_output_tokens": 300})
    document["budgets"].append(
        {"name": "bounded", "scope": "route", "subject": "bounded", "window": "total", "limit_usd": "1000"}
    )
    document["prices"].append(
        {"kind": "openai", "model": EMBEDDING_MODEL, "input_per_mtok": "0.02", "output_per_mtok": "0"}
    )
    return document
