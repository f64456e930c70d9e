"""Typed readers for environment variables: a wrong value stops start-up with a sentence."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_OURS_ALONE = 0o700


def env_text(name: str, default: str = "") -> str:
    """The variable's value; `NAME_FILE` may name a file that holds it (for mounted secrets)."""
    file = os.environ.get(f"{name}_FILE")
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: can't read {file}: {error.strerror}") from None
    return os.environ.get(name, default).strip()


def env_choice(name: str, choices: tuple[str, ...], default: str) -> str:
    value = env_text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def env_integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    text = env_text(name, str(default))
    if not text.isdecimal() or not minimum <= int(text) <= maximum:
        raise ImproperlyConfigured(f"{name} must be a whole number from {minimum} to {maximum}, not {text!r}.")
    return int(text)


def env_list(name: str, default: str) -> list[str]:
    return [item.strip() for item in env_text(name, default).split(",") if item.strip()]


def env_url(name: str, schemes: tuple[str, ...]) -> str:
    """A URL of one of `schemes`, or "" when unset. The value itself may hold a password and is never repeated."""
    value = env_text(name)
    if value and _scheme(name, value) not in schemes:
        raise ImproperlyConfigured(
            f"{name} must be a URL that begins with one of: {', '.join(schemes)} (followed by ://)."
        )
    return value


def _scheme(name: str, url: str) -> str:
    """Python's own words about an unreadable URL would quote a piece of its password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} can't be read as a URL. In its user name and password write / as %2F, # as %23, ? as %3F, "
            "[ as %5B; a port is a number up to 65535."
        ) from None
    return parts.scheme


def usable_folder(name: str, folder: Path) -> None:
    """Make the folder that variable `name` stands for, if need be. Raises ImproperlyConfigured if it can't be used.

    What we make is ours alone: SQLite makes its files as the umask says, and they hold password hashes and more.
    A folder that is there already keeps the mode its owner gave it.
    """
    try:
        folder.mkdir(mode=_OURS_ALONE, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: can't make the folder {folder}: {error.strerror}.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"{name}: {folder} can't be written to.")


def database_from_url(url: str, data_dir: Path) -> dict[str, object]:
    """Django's DATABASES entry for `sqlite:///path`, `postgres://…` or, when empty, SQLite under the data directory."""
    if not url:
        return sqlite_database(data_dir / "llmops.sqlite3")
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite_database(Path(unquote(parts.path.removeprefix("/")) or "llmops.sqlite3"))
    name = unquote(parts.path.removeprefix("/"))
    if not name:
        raise ImproperlyConfigured(
            "DATABASE_URL must end in a database's name: postgres://user:password@host:5432/name."
        )
    host = unquote(parts.hostname or "")
    options = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(options.pop("host", "")) or host,
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {key: unquote(value) for key, value in options.items()},
    }


def sqlite_database(path: Path) -> dict[str, object]:
    """SQLite in WAL mode; write transactions take the lock at their start, so two writers queue instead of failing."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
        },
    }
