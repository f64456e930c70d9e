"""Secrets at rest."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet

from gateway.crypto import SecretUnreadable, decrypt, encrypt


def test_a_secret_comes_back_and_its_stored_form_does_not_show_it() -> None:
    stored = encrypt("a secret with ünïcode")
    assert "secret" not in stored
    assert decrypt(stored) == "a secret with ünïcode"


def test_old_keys_still_open_what_they_closed(settings: Any) -> None:
    stored = encrypt("secret")
    settings.LLMOPS_ENCRYPTION_KEYS = (Fernet.generate_key().decode(), *settings.LLMOPS_ENCRYPTION_KEYS)
    assert decrypt(stored) == "secret"


@pytest.mark.parametrize("stored", ["", "nonsense", "gAAAAAB", "ünreadable"])
def test_what_no_key_opens_is_a_sentence_without_the_secret(stored: str) -> None:
    with pytest.raises(SecretUnreadable, match="LLMOPS_ENCRYPTION_KEYS") as caught:
        decrypt(stored)
    assert caught.value.__cause__ is None
