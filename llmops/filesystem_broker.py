"""The filesystem broker with whole messages: kombu's own lets a worker read a message that is still being written,
which ends the worker with a JSON error."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem


class Channel(filesystem.Channel):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Whoever comes first makes the folders: Celery's worker and beat may be started without `up`."""
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        for folder in (self.data_folder_in, self.data_folder_out, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)

    def _put(self, queue: Any, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # kombu disagrees with itself
        """Written under a name that nobody looks for, then renamed, which happens at once or not at all."""
        file = Path(self.data_folder_out) / f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        draft = file.with_name(f"{file.name}.draft")
        try:
            draft.write_text(json.dumps(payload), encoding="utf-8")
            os.replace(draft, file)
        except OSError as error:
            raise ChannelError(f"can't add a message to {self.data_folder_out}") from error


class Transport(filesystem.Transport):
    Channel = Channel


def use() -> None:
    """Make `filesystem://` mean this transport."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
