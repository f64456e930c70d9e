"""What the forms call their fields, for people who never saw a configuration file; units are named.

Only what the models' own names and help texts don't say as plainly. `docs/configuration.md` has the names of the file.
"""

from __future__ import annotations

from typing import Any

from django import forms

_INSTEAD = "Empty: as the provider says."
_TIMES: dict[str, str] = {
    "attempt_timeout_seconds": "Longest plain attempt (seconds)",
    "connect_timeout_seconds": "Longest wait for a connection (seconds)",
    "first_token_timeout_seconds": "Longest wait for the first content (seconds)",
    "stall_timeout_seconds": "Longest silence in a stream (seconds)",
    "stream_max_seconds": "Longest stream (seconds)",
    "backoff_seconds": "First pause before a retry (seconds)",
    "backoff_max_seconds": "Longest pause before a retry (seconds)",
    "retry_after_max_seconds": "Longest wait that the provider may ask for (seconds)",
}
_NAME = "How it is called everywhere else. Renaming it changes nothing in the books."

LABELS: dict[str, dict[str, str]] = {
    "provider": {
        **_TIMES,
        "retry_budget_percent": "Retries, at most (% of requests)",
        "retry_budget_floor_per_second": "Retries always allowed (per second)",
        "breaker_failure_threshold": "Failures in a row that open the breaker",
        "breaker_cooldown_seconds": "Pause of an open breaker (seconds)",
        "forced_breaker": "Hold the breaker",
        "forced_breaker_reason": "Why it is held",
        "max_in_flight": "Calls at a time",
        "max_queued": "Requests waiting, at most",
        "queue_timeout_seconds": "Longest wait for a free place (seconds)",
    },
    "route": {
        "deadline_seconds": "Longest wait for an answer (seconds)",
        "max_output_tokens": "Longest answer (tokens)",
        "stream_recovery": "When a stream breaks",
        "simple_mode": "Use it for simple queries",
        "cache_enabled": "Answer from the cache",
        "cache_ttl_seconds": "Good for (seconds)",
        "cache_scope": "Shared by",
    },
    "target": {**_TIMES, "simple": "Cheap model"},
    "budget": {
        "scope": "Whose spend is counted",
        "enforcement": "At the limit",
        "step_down_at_percent": "Cheapest target first from (percent)",
        "shrink_output": "Shorten answers",
    },
    "apikey": {"direct_models": "Any model of any provider", "max_parallel": "Requests at a time"},
    "organisation": {
        "availability_percent": "Requests answered (%)",
        "fallback_success_percent": "Fallbacks that end in an answer (%)",
        "mean_latency_seconds": "Average response time (seconds)",
        "conversation_cost_usd": "Average cost of a conversation (USD)",
    },
    "price": {"kind": "Kind of provider"},
}

HELP: dict[str, dict[str, str]] = {
    "provider": {"forced_breaker_reason": "For those who look later. Needed to hold the breaker."},
    "target": {
        "provider": "Who is asked. It must be made under Providers first.",
        "retries": f"How often to try this target again. {_INSTEAD}",
        **dict.fromkeys(_TIMES, _INSTEAD),
    },
    "budget": {
        "name": "How messages and refusals call it.",
        "scope": "Each team, key, route, provider or conversation is counted apart; or name one of them below.",
        "enforcement": "A refused agent is told which budget it is, what is spent and when the window ends.",
        "limit_usd": "US dollars that may be spent in each window, for each one whose spend is counted.",
    },
    "route": {
        "stream_recovery": "Once its first content has reached the agent; before that others are tried unseen.",
        "deadline_seconds": "Until the answer is there (a stream: its first content), all attempts together.",
    },
    "price": {
        "kind": "OpenAI's or Anthropic's wire: one model may cost differently at each.",
        "model": "The model's name at the provider, as a route's target names it.",
        "long_input_per_mtok": "US dollars per million tokens that go in, above that length.",
    },
    "team": {"name": _NAME},
    "workload": {
        "name": _NAME,
        "api_key": "Only requests with this key. Empty: with any.",
        "team": "Only requests of this team's keys. Empty: of any.",
    },
    "alertchannel": {"name": _NAME},
    "apikey": {
        "team": "Whose budgets and reports its requests count for. Empty: nobody's.",
        "requests_per_minute": "Further requests are told to come back later. Empty: no limit.",
        "tokens_per_minute": "Input and output together. Empty: no limit.",
    },
}

CHOICES: dict[str, dict[str, dict[str, str]]] = {
    "budget": {
        "scope": {
            "global": "everybody's, together",
            "team": "a team's, or each team's",
            "api_key": "an API key's, or each key's",
            "route": "a route's, or each route's",
            "provider": "a provider's, or each provider's",
            "conversation": "each conversation's",
        },
        "enforcement": {"block": "refuse what doesn't fit", "alert": "only tell"},
    },
    "route": {
        "stream_recovery": {
            "continue": "the next target goes on where it broke",
            "error": "end with an error",
            "buffer": "hold the answer back until it is whole",
        },
        "cache_scope": {"team": "the keys of one team", "route": "everybody who uses the route"},
    },
    "provider": {"forced_breaker": {"open": "open: nothing is sent", "closed": "closed: always send"}},
    "apikey": {"role": {"agent": "agent: asks for answers", "operator": "operator: may also run the gateway"}},
}


class PlainForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose fields are called what people call them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = str(self._meta.model._meta.model_name)
        for name, field in self.fields.items():
            field.label = LABELS.get(model, {}).get(name, field.label)
            field.help_text = HELP.get(model, {}).get(name, field.help_text)
            words = CHOICES.get(model, {}).get(name)
            if words:
                field.choices = [(value, words.get(value, text)) for value, text in field.choices]  # type: ignore[attr-defined]
