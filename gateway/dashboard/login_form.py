"""The login form: what Django's does, and no more tries than `gateway.services.login_throttle` allows."""

from __future__ import annotations

import ipaddress
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
# What a connection gets at least, RFC 6177.
_IPV6_NETWORK_BITS = 64


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
        return LoginAttempt(account, _client(hops[-proxies]))
    return LoginAttempt(account, _client(peer), one_client=not hops and not request.headers.get("Forwarded"))


def _client(address: str) -> str:
    """One client however it is written: some proxies add the connection's port, and whoever has one IPv6 address has
    the 2⁶⁴ of its network."""
    bare = address.removeprefix("[").partition("]")[0] if address.startswith("[") else address
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return address[:_MOST_CHARACTERS]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
