"""What is good enough for a demonstration and refused in production."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

# As Django's own check security.W009 counts; it only warns.
SECRET_KEY_CHARACTERS = 50
SECRET_KEY_DIFFERENT_CHARACTERS = 5


def refuse_insecure(*, secret_key: str, hosts: Sequence[str], origins: Sequence[str]) -> None:
    """Raises ImproperlyConfigured with what is wrong and what would be right; repeats no secret."""
    if len(secret_key) < SECRET_KEY_CHARACTERS or len(set(secret_key)) < SECRET_KEY_DIFFERENT_CHARACTERS:
        raise ImproperlyConfigured(
            f"DJANGO_SECRET_KEY must have at least {SECRET_KEY_CHARACTERS} random characters when "
            'LLMOPS_ENV=production (make one with: python -c "import secrets; print(secrets.token_urlsafe(50))").'
        )
    if "*" in hosts:
        raise ImproperlyConfigured(
            "LLMOPS_ALLOWED_HOSTS must not be * when LLMOPS_ENV=production: name the hosts, such as llmops.example.com."
        )
    insecure = [origin for origin in origins if not origin.startswith("https://")]
    if insecure:
        raise ImproperlyConfigured(
            f"LLMOPS_TRUSTED_ORIGINS must begin with https:// when LLMOPS_ENV=production; {insecure[0]!r} does not."
        )
