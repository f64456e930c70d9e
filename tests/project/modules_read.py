"""`python -m tests.project.modules_read [PATH]`: modules of a gateway process that is ready and was asked for PATH."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any


def main(path: str | None) -> None:
    from django.urls import get_resolver

    import llmops.asgi

    for urls in ("gateway.api.public_urls", "gateway.api.metrics_urls"):
        _ = get_resolver(urls).url_patterns
    import gateway.providers.anthropic
    import gateway.providers.openai  # noqa: F401

    status = asyncio.run(asked(llmops.asgi.application, path)) if path else None
    sys.stdout.write(json.dumps({"status": status, "modules": sorted(sys.modules)}))


async def asked(application: Any, path: str) -> int:
    sent: list[dict[str, Any]] = []
    whole = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(whole, None) or await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "query_string": b"",
        "headers": [],
        "path": path,
        "raw_path": path.encode(),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await application(scope, receive, send)
    return int(sent[0]["status"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
