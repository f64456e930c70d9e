"""`python -m tests.project.pages_after_trouble MODULE`: for MODULE's sake no back office can be read in, then it can.

Tells how three first pages at once ended, how often MODULE was tried, how the next page ended, and what has forms.
"""

from __future__ import annotations

import asyncio
import importlib.abc
import json
import sys
from collections.abc import Sequence
from types import ModuleType

from tests.project.modules_read import asked


class Trouble(importlib.abc.MetaPathFinder):
    """Fails like a process that may open no more files."""

    def __init__(self, module: str) -> None:
        self._module = module
        self.tries = 0

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == self._module:
            self.tries += 1
            raise OSError(24, "Too many open files")


async def main(module: str) -> None:
    from django.contrib import admin

    import llmops.asgi

    def page() -> asyncio.Future[int]:
        return asyncio.ensure_future(asked(llmops.asgi.application, "/admin/login/"))

    trouble = Trouble(module)
    sys.meta_path.insert(0, trouble)
    failed = await asyncio.gather(page(), page(), page(), return_exceptions=True)
    sys.meta_path.remove(trouble)
    after = await page()
    forms = sorted(model.__name__ for model in admin.site._registry)
    told = {"failed": [type(one).__name__ for one in failed], "tries": trouble.tries, "after": after, "forms": forms}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
