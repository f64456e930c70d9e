"""What is known of models by name decides what they are sent."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.catalogue import model_traits
from gateway.engine.words import Wire

from .helpers import ANTHROPIC, OPENAI


@pytest.mark.parametrize(
    ("kind", "model", "known"),
    [
        (
            OPENAI,
            "gpt-4-turbo",
            {"output_limit_field": "max_tokens", "takes_sampling": True, "max_output_tokens": 4_096},
        ),
        (OPENAI, "gpt-4-turbo-2024-04-09", {"takes_json_schema": False, "successor": "gpt-6.1-sol"}),
        (OPENAI, "gpt-3.5-turbo", {"successor": "gpt-6-luna", "context_window_tokens": 16_385}),
        (OPENAI, "gpt-4o-mini", {"takes_json_schema": True, "max_output_tokens": 16_384}),
        (OPENAI, "gpt-6.1-sol", {"output_limit_field": "max_completion_tokens", "takes_sampling": False}),
        (OPENAI, "o3", {"reasoning": True, "takes_stop": False}),
        (OPENAI, "some-local-model", {"takes_sampling": True, "max_output_tokens": None}),
        (ANTHROPIC, "claude-3-5-sonnet-20241022", {"takes_prefill": True, "successor": "claude-sonnet-5-5"}),
        (ANTHROPIC, "claude-3-opus-20240229", {"max_output_tokens": 4_096, "takes_prefill": True}),
        (ANTHROPIC, "claude-sonnet-4-5", {"thinking": "budget", "one_sampling_knob": True, "takes_prefill": False}),
        (ANTHROPIC, "claude-opus-4-6", {"thinking": "adaptive", "takes_sampling": True}),
        (ANTHROPIC, "claude-sonnet-5-5", {"thinking": "adaptive", "takes_sampling": False, "takes_prefill": False}),
        (ANTHROPIC, "someone-elses-model", {"max_output_tokens": None, "context_window_tokens": None}),
    ],
)
def test_a_model_has_the_traits_of_its_family(kind: Wire, model: str, known: dict[str, Any]) -> None:
    traits = model_traits(kind, model)
    assert {name: getattr(traits, name) for name in known} == known
