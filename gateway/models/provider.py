"""A provider: where requests go, how long we wait for it, how often we ask again, when we give it a rest."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from gateway import bounds
from gateway.crypto import decrypt, encrypt
from gateway.engine.words import Wire
from gateway.models.base import MODEL_NAME, NAME, ConfigurationRow, inside, one_of, unique_among_alive, within
from gateway.models.words import ForcedBreaker, choices

ENVIRONMENT_NAME = RegexValidator(
    re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\Z"),
    "The name of an environment variable is made of letters, digits and underscores, such as OPENAI_API_KEY.",
)
# What holds the installation's own secrets and addresses; a provider's key is sent to the provider's address.
_OWN_VARIABLE = re.compile(r"(LLMOPS_|DJANGO_|CELERY_|PG[A-Z]+\Z|(DATABASE_URL|REDIS_URL)(_FILE)?\Z)", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,1000}")
# Set by us or by the SDK for every call; a fixed value would break or leak something.
RESERVED_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "transfer-encoding",
        "x-api-key",
    }
)
MAX_EXTRA_HEADERS = 20


class Provider(ConfigurationRow):
    """One account at one vendor."""

    name = models.CharField(max_length=100, validators=[NAME], help_text="What routes call it, such as openai.")
    kind = models.CharField(
        max_length=12, choices=choices(Wire), help_text="The wire format it speaks: OpenAI's or Anthropic's."
    )
    base_url = models.CharField(
        "base URL", max_length=500, help_text="Where its API lives, such as https://api.openai.com/v1."
    )
    api_key_env = models.CharField(
        "API key from variable",
        max_length=100,
        blank=True,
        default="",
        validators=[ENVIRONMENT_NAME],
        help_text="The environment variable that holds its API key. Leave empty to store the key here, encrypted.",
    )
    api_key_encrypted = models.TextField(default="", blank=True, editable=False)
    extra_headers = models.JSONField(
        default=dict, blank=True, help_text="Headers sent with every call, as {name: value}. Not the place for secrets."
    )
    attempt_timeout_seconds = models.FloatField(
        default=30, validators=inside(bounds.TIMEOUT_SECONDS), help_text="The longest a plain attempt may take."
    )
    connect_timeout_seconds = models.FloatField(
        default=5, validators=inside(bounds.TIMEOUT_SECONDS), help_text="The longest to wait for a connection."
    )
    first_token_timeout_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=inside(bounds.TIMEOUT_SECONDS),
        help_text="Streams: the longest wait for the first content. Empty: 12, or 60 for models that think first.",
    )
    stall_timeout_seconds = models.FloatField(
        default=15, validators=inside(bounds.TIMEOUT_SECONDS), help_text="Streams: the longest silence between events."
    )
    stream_max_seconds = models.FloatField(
        default=900, validators=inside(bounds.STREAM_MAX_SECONDS), help_text="The longest a stream may take in all."
    )
    retries = models.PositiveSmallIntegerField(
        default=3, validators=inside(bounds.RETRIES), help_text="How often to try the same target again."
    )
    backoff_seconds = models.FloatField(
        default=0.5,
        validators=inside(bounds.WAIT_SECONDS),
        help_text="Pause before the first retry; it doubles with each further one, give or take a fifth.",
    )
    backoff_max_seconds = models.FloatField(
        default=8, validators=inside(bounds.WAIT_SECONDS), help_text="The longest such pause."
    )
    retry_after_max_seconds = models.FloatField(
        default=5,
        validators=inside(bounds.WAIT_SECONDS),
        help_text="When the provider asks us to wait longer than this, the next target is used instead.",
    )
    retry_budget_percent = models.FloatField(
        default=20,
        validators=inside(bounds.RETRY_BUDGET_PERCENT),
        help_text="Retries may be at most this share of the provider's requests, per process.",
    )
    retry_budget_floor_per_second = models.FloatField(
        default=10,
        validators=inside(bounds.RETRY_BUDGET_FLOOR),
        help_text="So many retries a second are always allowed, per process.",
    )
    breaker_failure_threshold = models.PositiveSmallIntegerField(
        default=5, validators=inside(bounds.FAILURE_THRESHOLD), help_text="Failures in a row that open the breaker."
    )
    breaker_cooldown_seconds = models.FloatField(
        default=60,
        validators=inside(bounds.COOLDOWN_SECONDS),
        help_text="How long an open breaker rests before one probe is let through.",
    )
    forced_breaker = models.CharField(
        max_length=8,
        choices=choices(ForcedBreaker),
        null=True,
        blank=True,
        help_text="Hold the breaker open (nothing is sent) or closed (always send). Empty: it decides for itself.",
    )
    forced_breaker_reason = models.CharField(max_length=300, default="", blank=True)
    max_in_flight = models.PositiveIntegerField(
        default=4000, validators=inside(bounds.IN_FLIGHT), help_text="Calls under way at a time, per process."
    )
    max_queued = models.PositiveIntegerField(
        default=1000,
        validators=inside(bounds.QUEUED),
        help_text="Requests that may wait for a free place, per process.",
    )
    queue_timeout_seconds = models.FloatField(
        default=5, validators=inside(bounds.WAIT_SECONDS), help_text="The longest a request waits for a free place."
    )
    health_probe_every_seconds = models.FloatField(
        "health probe every (seconds)",
        null=True,
        blank=True,
        validators=inside(bounds.HEALTH_PROBE_SECONDS),
        help_text="Ask the provider this often how it is, one process for the whole fleet. Empty: never.",
    )
    health_probe_model = models.CharField(
        max_length=200,
        blank=True,
        default="",
        validators=[MODEL_NAME],
        help_text="Call this model for one token. Empty: the schedule asks for the list of models, which is free.",
    )
    enabled = models.BooleanField(default=True, help_text="Off: routes leave its targets out.")

    class Meta:
        db_table = "llmops_provider"
        ordering = ["name"]
        constraints = [
            unique_among_alive("provider_name_in_use", "name", label="provider"),
            one_of("kind", Wire, "provider_kind"),
            one_of("forced_breaker", ForcedBreaker, "provider_forced_breaker"),
            models.CheckConstraint(
                condition=Q(api_key_env="") | Q(api_key_encrypted=""),
                name="provider_one_key",
                violation_error_message="Give the API key by variable or store it here, not both.",
            ),
            within(
                "provider_numbers",
                **bounds.OF_AN_ATTEMPT,
                retry_budget_percent=bounds.RETRY_BUDGET_PERCENT,
                retry_budget_floor_per_second=bounds.RETRY_BUDGET_FLOOR,
                breaker_failure_threshold=bounds.FAILURE_THRESHOLD,
                breaker_cooldown_seconds=bounds.COOLDOWN_SECONDS,
                max_in_flight=bounds.IN_FLIGHT,
                max_queued=bounds.QUEUED,
                queue_timeout_seconds=bounds.WAIT_SECONDS,
                health_probe_every_seconds=bounds.HEALTH_PROBE_SECONDS,
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def set_api_key(self, plain: str) -> None:
        self.api_key_encrypted = encrypt(plain) if plain else ""

    def stored_api_key(self) -> str | None:
        """The key stored here, or None. Raises SecretUnreadable."""
        return decrypt(self.api_key_encrypted) if self.api_key_encrypted else None

    def clean(self) -> None:
        problem = base_url_problem(self.base_url)
        if problem:
            raise ValidationError({"base_url": problem})
        problem = api_key_env_problem(self.api_key_env)
        if problem:
            raise ValidationError({"api_key_env": problem})
        problem = extra_headers_problem(self.extra_headers)
        if problem:
            raise ValidationError({"extra_headers": problem})
        if self.forced_breaker and not self.forced_breaker_reason:
            raise ValidationError({"forced_breaker_reason": "Say why the breaker is forced."})


def api_key_env_problem(name: str) -> str | None:
    """What is wrong with naming this variable (anything but an empty name), as a sentence, or None."""
    if not name:
        return None
    try:
        ENVIRONMENT_NAME(name)
    except ValidationError:
        return "must be the name of an environment variable"
    if _OWN_VARIABLE.match(name):
        return (
            "must be a variable that holds this provider's key, such as OPENAI_API_KEY: those of the gateway itself "
            "(LLMOPS_…, DJANGO_…, CELERY_…, PG…, DATABASE_URL, REDIS_URL) are never sent to a provider"
        )
    return None


def base_url_problem(url: str) -> str | None:
    """What is wrong with a provider's address, as a sentence that doesn't repeat it, or None."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "must be a web address such as https://api.openai.com/v1"
    if parts.scheme not in {"http", "https"} or not host or re.search(r"[\s\x00-\x1f\x7f]", url):
        return "must be a web address that begins with http:// or https://, such as https://api.openai.com/v1"
    if parts.username is not None or parts.query or parts.fragment:
        return "must hold no user name, password, query or fragment; keys belong in api_key or api_key_env"
    return None


def extra_headers_problem(headers: Any) -> str | None:
    """What is wrong with extra headers, as a sentence that repeats no value, or None."""
    if not isinstance(headers, dict):
        return "must be a mapping of header names to values"
    if len(headers) > MAX_EXTRA_HEADERS:
        return f"must hold at most {MAX_EXTRA_HEADERS} headers"
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            return f"{str(name)[:40]!r} is not the name of a header"
        if name.lower() in RESERVED_HEADERS:
            return f"{name} is set by the gateway itself and can't be given here"
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            return f"the value of {name} must be text of at most 1,000 printable ASCII characters"
    return None
