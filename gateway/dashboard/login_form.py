"""The login form: what Django's does, and no more tries than `gateway.services.login_throttle` allows."""

from __future__ import annotations

import logging
import math
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from unfold.forms import AuthenticationForm  # type: ignore[import-untyped]

from gateway.services.login_throttle import (
    LoginAttempt,
    LoginThrottled,
    login_attempt_count,
    login_attempt_succeeded,
)

logger = logging.getLogger("gateway.login")

_MOST_CHARACTERS = 254


class ThrottledLoginForm(AuthenticationForm):  # type: ignore[misc]
    """Says when to try again. The password isn't looked at before."""

    def clean(self) -> Any:
        account = self.cleaned_data.get("username")
        if not account or not self.cleaned_data.get("password"):
            return super().clean()
        attempt = attempt_of(self.request, account)
        try:
            login_attempt_count(attempt, now=timezone.now())
        except LoginThrottled as refused:
            logger.warning("login of %r from %s refused: %s", account[:_MOST_CHARACTERS], attempt.address, refused)
            raise ValidationError(_words(refused), code="throttled") from None
        cleaned = super().clean()
        login_attempt_succeeded(attempt)
        return cleaned


def _words(refused: LoginThrottled) -> str:
    minutes = max(1, math.ceil((refused.until - timezone.now()).total_seconds() / 60))
    wait = "a minute" if minutes == 1 else f"{minutes} minutes"
    return f"Too many failed logins from your address. Try again in {wait}, at {refused.until:%H:%M} UTC."


def attempt_of(request: HttpRequest, account: str) -> LoginAttempt:
    """The client's address, which is what the last of our own proxies says where there are some.

    Where a proxy speaks that nobody told us of, its address is everybody's and isn't counted by itself.
    """
    peer, told = request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", "")
    hops = [hop.strip() for hop in told.split(",") if hop.strip()]
    proxies: int = settings.LLMOPS_TRUSTED_PROXIES
    if proxies and len(hops) >= proxies:
        return LoginAttempt(account, hops[-proxies][:_MOST_CHARACTERS])
    return LoginAttempt(account, peer, one_client=not hops and not request.headers.get("Forwarded"))
