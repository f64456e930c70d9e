"""How often a password may be tried. Why it is this way: docs/decisions/ on login throttling.

An attempt is counted before its password is looked at, by one conditional update, so that any number of them at once
get no more tries than one after the other. What succeeds is taken back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from gateway.models import LoginFailures

WINDOW = timedelta(minutes=15)
ATTEMPTS_PER_ACCOUNT_AND_ADDRESS = 5
# An office behind one address mistypes now and then; somebody who tries one password on every account passes this soon.
ATTEMPTS_PER_ADDRESS = 50


class LoginThrottled(Exception):
    """Too many failures. `until` is when the next attempt is looked at."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"too many failed logins, until {until:%Y-%m-%d %H:%M:%S} UTC")
        self.until = until


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """`address` is who is counted as one client; `one_client` is False where it may be everybody's, a proxy's."""

    account: str
    address: str
    one_client: bool = True

    def limits(self) -> Iterator[tuple[str, int]]:
        """What is counted, and the most attempts of it in a window."""
        yield _subject("account", self.account.casefold(), self.address), ATTEMPTS_PER_ACCOUNT_AND_ADDRESS
        if self.one_client:
            yield _subject("address", self.address), ATTEMPTS_PER_ADDRESS


def _subject(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@transaction.atomic
def login_attempt_count(attempt: LoginAttempt, *, now: datetime) -> None:
    """Call before the password is checked. Raises LoginThrottled, having counted nothing, once a limit is reached."""
    LoginFailures.objects.filter(since__lte=now - WINDOW).delete()
    for subject, most in attempt.limits():
        if not _count(subject, most, now):
            row = LoginFailures.objects.filter(pk=subject).first()  # gone where the account got in this moment
            raise LoginThrottled((row.since if row else now) + WINDOW)


def _count(subject: str, most: int, now: datetime) -> bool:
    """Whether there was room for one more."""
    if _count_one_more(subject, most):
        return True
    if LoginFailures.objects.filter(pk=subject).exists():  # full, or made by somebody else's attempt since we looked
        return _count_one_more(subject, most)
    try:
        with transaction.atomic():
            LoginFailures.objects.create(pk=subject, attempts=1, since=now)
    except IntegrityError:  # the same, a moment later
        return _count_one_more(subject, most)
    return True


def _count_one_more(subject: str, most: int) -> bool:
    return bool(LoginFailures.objects.filter(pk=subject, attempts__lt=most).update(attempts=F("attempts") + 1))


def login_attempt_succeeded(attempt: LoginAttempt) -> None:
    """Forget the account's failures from this address; others from the address stay counted."""
    (pair, _), *address = attempt.limits()
    LoginFailures.objects.filter(pk=pair).delete()
    for subject, _ in address:
        LoginFailures.objects.filter(pk=subject, attempts__gt=0).update(attempts=F("attempts") - 1)
