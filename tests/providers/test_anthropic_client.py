"""Anthropic's SDK without what its package takes in beside its client."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

LEAN = "gateway.providers.anthropic_client"


def in_new_process(program: str, *, client_from: str = LEAN) -> Any:
    """What a program leaves in `told`, in a process that imports nothing of the SDK before."""
    source = f"import json\nfrom {client_from} import AsyncAnthropic\n{program}\nprint(json.dumps(told))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_client_says_the_same_headers_as_the_whole_packages() -> None:
    program = """
client = AsyncAnthropic(api_key="k", base_url="http://127.0.0.1:1/anthropic")
told = {name: str(value) for name, value in {**client.default_headers, **client.auth_headers}.items()}
told["base url"] = str(client.base_url)
"""
    lean = in_new_process(program)
    assert lean == in_new_process(program, client_from="anthropic")
    assert "anthropic-version" in lean


def test_nothing_stands_in_for_what_was_left_out_afterwards() -> None:
    program = """
import sys
from gateway.providers.anthropic_client import _NotImported
import anthropic
modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "anthropic"]
told = [name for module in modules for name, value in vars(module).items() if value is _NotImported]
told += [name for name in ("AnthropicBedrock", "beta_tool") if hasattr(anthropic, name)]
"""
    assert in_new_process(program) == []


def test_modules_that_were_left_out_can_be_imported_later() -> None:
    program = """
from anthropic.lib.bedrock import AnthropicBedrock
from anthropic.lib.tools import beta_tool
told = [AnthropicBedrock.__name__, beta_tool.__name__]
"""
    assert in_new_process(program) == ["AnthropicBedrock", "beta_tool"]


def test_typed_calls_work_beside_it() -> None:
    program = """
client = AsyncAnthropic(api_key='k', base_url='http://127.0.0.1:1')
told = [type(client.messages).__name__, type(client.messages.batches).__name__]
"""
    assert in_new_process(program) == ["AsyncMessages", "AsyncBatches"]
