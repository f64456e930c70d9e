"""The installation's own secrets: taken from the environment, or made once under the data directory, mode 0600."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from llmops.env import env_text


def installation_secret(name: str, file_name: str, data_dir: Path, *, production: bool) -> str:
    """The value of variable `name`, else of `data_dir/file_name`, which is made when missing.

    In production the variable must be set: several machines have to share one value.
    """
    value = env_text(name)
    if value:
        return value
    if production:
        raise ImproperlyConfigured(f"{name} must be set when LLMOPS_ENV=production.")
    path = data_dir / file_name
    if not path.exists():
        _write_once(path, _fresh(name))
    return path.read_text(encoding="ascii").strip()


def encryption_keys(text: str) -> tuple[str, ...]:
    """Fernet keys, newest first, comma-separated; raises ImproperlyConfigured without repeating any of them."""
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    for position, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            raise ImproperlyConfigured(
                f"LLMOPS_ENCRYPTION_KEYS: key {position} is not 32 bytes in URL-safe base64 "
                "(make one with: python manage.py generate_encryption_key)."
            ) from None
    return keys


def _fresh(name: str) -> str:
    return Fernet.generate_key().decode() if name == "LLMOPS_ENCRYPTION_KEYS" else secrets.token_urlsafe(50)


def _write_once(path: Path, value: str) -> None:
    """Write through a private file and a link, so that of two processes starting together one wins and both agree."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
