"""Secrets at rest: encrypted with the installation's keys (LLMOPS_ENCRYPTION_KEYS, newest first, Fernet)."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SecretUnreadable(Exception):
    """None of the installation's keys opens this secret. The message never repeats it."""


def encrypt(plain: str) -> str:
    """ASCII text that only `decrypt` can read; the newest key is used."""
    return _box().encrypt(plain.encode()).decode("ascii")


def encrypt_bytes(plain: bytes) -> bytes:
    """As `encrypt`, for bytes that may be no text; a third longer than what was given."""
    return _box().encrypt(plain)


def decrypt_bytes(encrypted: bytes | memoryview) -> bytes:
    """The bytes given to `encrypt_bytes`. Raises SecretUnreadable when they were changed or their key is gone."""
    try:
        return _box().decrypt(bytes(encrypted))
    except InvalidToken:
        raise SecretUnreadable(
            "it can't be read with the keys in LLMOPS_ENCRYPTION_KEYS; add the key it was encrypted with"
        ) from None


def decrypt(encrypted: str) -> str:
    """The text given to `encrypt`. Raises SecretUnreadable when it was changed or its key is gone."""
    try:
        return _box().decrypt(encrypted.encode()).decode()
    except (InvalidToken, UnicodeError):
        raise SecretUnreadable(
            "a stored secret can't be read with the keys in LLMOPS_ENCRYPTION_KEYS; "
            "add the key it was encrypted with, or enter the secret again"
        ) from None


def _box() -> MultiFernet:
    # Built each time: settings may change between tests, and secrets are opened once per configuration change.
    return MultiFernet([Fernet(key) for key in settings.LLMOPS_ENCRYPTION_KEYS])
