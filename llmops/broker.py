"""Which message broker Celery uses. The database is the queue, a message only a nudge: the humblest one will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FILESYSTEM = "filesystem://"
POLL_SECONDS = 0.5  # how often the filesystem broker's folder is looked at
SOCKET_TIMEOUT_SECONDS = 5
REDELIVER_SECONDS = 300  # a message that its worker has not acknowledged by then goes to another one


def broker_url(configured: str, redis_url: str) -> str:
    """The configured broker, else Redis, else a folder of the data directory (one worker only)."""
    url = configured or redis_url or FILESYSTEM
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


def broker_options(url: str, data_dir: Path) -> dict[str, Any]:
    if url.startswith("filesystem"):
        folder = str(broker_folder(data_dir))
        return {
            "data_folder_in": folder,
            "data_folder_out": folder,
            "control_folder": str(Path(folder) / "control"),
            "polling_interval": POLL_SECONDS,
        }
    if url.startswith("redis"):
        return {
            "visibility_timeout": REDELIVER_SECONDS,
            "socket_timeout": SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
        }
    return {}


def broker_folder(data_dir: Path) -> Path:
    return data_dir / "broker"


def empty_broker_folder(data_dir: Path) -> None:
    """Makes the folder and forgets old nudges, which nobody needs: the sweeps find all work in the database."""
    folder = broker_folder(data_dir)
    (folder / "control").mkdir(parents=True, exist_ok=True)
    for message in folder.glob("*.msg"):
        message.unlink(missing_ok=True)
