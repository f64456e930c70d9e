"""What is printed once everything runs: where things are, and a first completion to paste."""

from __future__ import annotations

import shlex

from django.conf import settings

from gateway.supervisor.prepare import Credentials

KEY_PLACEHOLDER = "YOUR_KEY"
_MESSAGES = '[{"role": "user", "content": "Say hello in five words."}]'


def banner(url: str, route: str, credentials: Credentials | None) -> str:
    key = credentials.api_key if credentials else KEY_PLACEHOLDER
    parts = [
        "",
        "llmops is ready.",
        "",
        f"  Dashboard  {url}/",
        f"  Admin      {url}/admin/",
        f"  API docs   {url}/api/docs",
        f"  Version    {settings.LLMOPS_VERSION}",
        *_who(url, credentials),
        "",
        "A first completion:",
        "",
        _curl(url, route, key),
        "",
        "The same with the openai SDK (.venv/bin/python has it):",
        "",
        _snippet(url, route, key),
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(parts)


def banner_without_routes(url: str) -> str:
    return "\n".join(
        [
            "",
            "llmops runs, but no route is configured, so nothing can be answered yet.",
            "",
            f"  Add providers and routes at {url}/admin/, or by: manage.py apply FILE",
            "  The first login is made by: manage.py createsuperuser",
            "",
            "Ctrl-C stops everything.",
        ]
    )


def credentials_text(credentials: Credentials) -> str:
    return "\n".join(
        [
            f"  Login      {credentials.user} / {credentials.password}   (shown only this once)",
            f"  API key    {credentials.api_key}   (shown only this once)",
        ]
    )


def _who(url: str, credentials: Credentials | None) -> list[str]:
    if credentials:
        return [credentials_text(credentials)]
    return [f"  API keys   {url}/admin/gateway/apikey/ (their text was shown when they were made; make another there)"]


def _curl(url: str, route: str, key: str) -> str:
    body = f'{{"model": "{route}", "messages": {_MESSAGES}}}'
    return (
        f"curl {url}/v1/chat/completions -H 'Content-Type: application/json' \\\n"
        f"  -H 'Authorization: Bearer {key}' -d {shlex.quote(body)}"
    )


def _snippet(url: str, route: str, key: str) -> str:
    return "\n".join(
        [
            "from openai import OpenAI",
            f'client = OpenAI(base_url="{url}/v1", api_key="{key}")',
            f"messages = {_MESSAGES}",
            f'answer = client.chat.completions.create(model="{route}", messages=messages)',
            "print(answer.choices[0].message.content)",
        ]
    )
