"""Tracing is on where OpenTelemetry's own variables name a collector, and costs nothing where they don't."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.tracing import trace_begin, tracing_wanted

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_the_standard_variables_decide(environment: dict[str, str], wanted: bool) -> None:
    assert tracing_wanted(environment) is wanted


def test_while_nobody_traces_a_completion_has_no_place_in_a_trace() -> None:
    assert trace_begin({"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}, str, str) is None


def test_while_nobody_traces_nothing_of_opentelemetrys_sdk_is_imported() -> None:
    look = "import sys, gateway.tracing; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
