"""One JSON object per line, for machines that read logs (`LLMOPS_LOG_FORMAT=json`)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import orjson


class JsonFormatter(logging.Formatter):
    """`{"at", "level", "logger", "message", …}`: what a record is given as `extra={"facts": …}` are fields.

    An error's traceback is `exception`. Nothing else of the record is told, so what a library hangs on it stays here.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()
