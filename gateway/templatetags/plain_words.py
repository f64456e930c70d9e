"""Numbers, times and the ledger's words, said so that people who don't program understand them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal

from django import template
from django.utils import timezone

from gateway.engine.drill import DrillFault
from gateway.engine.words import AttemptOutcome, Billing, CompletionStatus, FailureKind
from gateway.ledger.admission import Verdict
from gateway.ledger.money import usd_signed, usd_text
from gateway.models.drill import FAULT_WORDS

register = template.Library()

NOTHING = "—"
SHORT_ID_LENGTH = 10
_SIZES = ((10**9, "B"), (10**6, "M"), (10**3, "k"))

_FAILURES = {
    FailureKind.CONNECTION: "The provider could not be reached.",
    FailureKind.TIMEOUT: "The provider did not answer in time.",
    FailureKind.RATE_LIMITED: "The provider asked us to slow down (rate limit).",
    FailureKind.QUOTA_EXHAUSTED: "Our quota at the provider is used up.",
    FailureKind.SERVER_ERROR: "The provider had an internal error.",
    FailureKind.UNREADABLE: "The provider's answer could not be read.",
    FailureKind.STREAM_BROKEN: "The provider's answer broke off in the middle.",
    FailureKind.REJECTED_US: "The provider refused our key, account or permission.",
    FailureKind.MODEL_NOT_FOUND: "The provider does not know this model.",
    FailureKind.CONTEXT_TOO_LONG: "The request is too long for this model.",
    FailureKind.CONTENT_POLICY: "The provider refused the content.",
    FailureKind.INVALID_REQUEST: "The provider found a mistake in the request.",
    FailureKind.UNTRANSLATABLE: "This provider has no way to do what was asked.",
    FailureKind.BREAKER_OPEN: "The provider's breaker was open, so it was not asked.",
    FailureKind.OVERLOADED: "Too many requests were under way there, and no place became free in time.",
}
_OUTCOMES = {
    AttemptOutcome.SUCCEEDED: "answered",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.CANCELLED: "client left",
    AttemptOutcome.SKIPPED: "not asked",
}
_STATUSES = {
    CompletionStatus.PENDING: "under way",
    CompletionStatus.ANSWERED: "answered",
    CompletionStatus.FAILED: "failed",
    CompletionStatus.CANCELLED: "client left",
    CompletionStatus.UNKNOWN: "unknown",
    CompletionStatus.REFUSED: "refused",
}
_TONES = {
    "answered": "good",
    "succeeded": "good",
    "closed": "good",
    "failed": "bad",
    "open": "bad",
    "half_open": "warn",
    "unknown": "warn",
    "refused": "warn",
    "pending": "info",
}
_BILLINGS = {
    Billing.NONE: "not billed",
    Billing.REPORTED: "from the provider's own count",
    Billing.ESTIMATED: "estimated: an upper bound, the provider did not report its count",
    Billing.UNKNOWN: "unknown: we stopped before the end, so the reserved amount is charged",
}

_VERDICTS = {
    Verdict.FITS: "yes, there is room",
    Verdict.OVER: "no room, but it only alerts",
    Verdict.STEP_DOWN: "ask something cheaper first",
    Verdict.NO_ROOM: "no room for this",
}


@register.filter
def usd(amount_usd: Decimal) -> str:
    """Dollars as people write them; amounts below ten cents keep their first three digits that count."""
    if amount_usd == 0:
        return "$0.00"
    sign, size = ("-" if amount_usd < 0 else ""), abs(amount_usd)
    if size >= Decimal("0.1"):
        return f"{sign}${size:,.2f}"
    return f"{sign}${size:.{2 - size.adjusted()}f}"


@register.filter
def usd_size(amount_usd: Decimal) -> str:
    """Without its sign, where words say which way it goes."""
    return usd(abs(amount_usd))


@register.filter
def usd_limit(amount_usd: Decimal) -> str:
    """An amount that somebody chose, as people say it: `$0.05`, `$0.50`, `$20.00`; finer ones in full."""
    return f"${amount_usd:,.2f}" if amount_usd == round(amount_usd, 2) else usd(amount_usd)


@register.filter
def usd_left(left_usd: Decimal, limit_usd: Decimal) -> str:
    """What is left of a limit: never rounded up to all of it while something is taken (`$0.4997` of $0.50)."""
    taken_usd = limit_usd - left_usd
    if left_usd <= 0 or taken_usd <= 0 or usd(left_usd) != usd(limit_usd):
        return usd(left_usd)
    return f"${left_usd.quantize(Decimal(1).scaleb(taken_usd.adjusted()), ROUND_DOWN):,f}"


@register.filter
def extra_cost(amount_usd: Decimal) -> str:
    """What a detour cost more, or less, as a sentence."""
    if amount_usd == 0:
        return "It cost nothing extra."
    if amount_usd < 0:
        return f"It cost {usd(-amount_usd)} less than the first target would have."
    return f"It cost {usd(amount_usd)} extra."


@register.filter
def usd_exact(amount_usd: Decimal) -> str:
    """Every digit of the amount, for those who check."""
    return usd_signed(amount_usd)


@register.filter
def per_million(price: Decimal) -> str:
    """A price per million tokens: at least two decimals, no trailing zeros beyond."""
    return f"${usd_text(price)}"


@register.filter
def duration(ms: float | None) -> str:
    """`850 ms`, `1.9 s`, `2 min 5 s`."""
    if ms is None:
        return NOTHING
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s"


@register.filter
def duration_of_seconds(seconds: float) -> str:
    """As `duration`, with hours and days for what lasts: `3 h 20 min`, `2 d 5 h`."""
    minutes = round(seconds / 60)
    if minutes < 60:
        return duration(seconds * 1000)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


@register.filter
def percent(part: float | None) -> str:
    """A share from 0 to 1 as `3.4 %`; never rounded up to 100 or down to 0."""
    if part is None:
        return NOTHING
    value = part * 100
    if value in (0, 100):
        return f"{value:.0f} %"
    return f"{min(99.99, max(0.01, value)):.3g} %" if value < 1 else f"{min(99.9, value):.1f} %"


@register.filter
def used_percent(part: float) -> str:
    """A share of a limit as `87.0 %`; also what is beyond it: `128 %`."""
    return percent(part) if part <= 1 else f"{part * 100:,.0f} %"


@register.filter
def count(number: int) -> str:
    return f"{number:,}"


@register.filter
def count_short(number: int) -> str:
    """`9,876`, `12.3k`, `4.56M`: for tiles; the exact number belongs beside it."""
    if number < 10_000:
        return count(number)
    rounded = float(f"{number:.3g}")
    size, letter = next((size, letter) for size, letter in _SIZES if rounded >= size)
    return f"{rounded / size:#.3g}".rstrip(".") + letter


@register.filter
def short_id(text: str) -> str:
    """The end of a long id, which tells ids apart: their beginnings are made from the time."""
    return text if len(text) <= SHORT_ID_LENGTH + 1 else f"…{text[-SHORT_ID_LENGTH:]}"


@register.filter
def clock(moment: datetime | None) -> str:
    """`15:04:05` today, `21 Nov 15:04` before, in the active time zone."""
    if moment is None:
        return NOTHING
    local = timezone.localtime(moment)
    same_day = local.date() == timezone.localtime().date()
    return local.strftime("%H:%M:%S") if same_day else f"{local.day} {local:%b %H:%M}"


@register.filter
def full_time(moment: datetime | None) -> str:
    if moment is None:
        return NOTHING
    local = timezone.localtime(moment)
    return f"{local.day} {local:%B %Y, %H:%M:%S}"


@register.filter
def iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat()


@register.filter
def sentence(words: str) -> str:
    """Words the engine noted in passing, with a capital and a full stop, without the code that a reason begins with."""
    text = words.strip().removeprefix(f"{FailureKind.BREAKER_OPEN}: ")
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""


@register.filter
def failure_words(kind: str) -> str:
    return _FAILURES[FailureKind(kind)] if kind else ""


@register.filter
def outcome_words(outcome: str) -> str:
    return _OUTCOMES[AttemptOutcome(outcome)]


@register.filter
def status_words(status: str) -> str:
    return _STATUSES[CompletionStatus(status)]


@register.filter
def billing_words(billing: str) -> str:
    return _BILLINGS[Billing(billing)]


@register.filter
def breaker_words(state: str) -> str:
    return state.replace("_", "-")


@register.filter
def verdict_words(verdict: str) -> str:
    return _VERDICTS[Verdict(verdict)]


@register.filter
def tone(word: str) -> str:
    """Which colour a state, status or outcome has: good, bad, warn, info or quiet. Never the only sign of it."""
    return _TONES.get(word, "quiet")


@register.filter
def state_words(state: str) -> str:
    """A breaker's state."""
    return state.replace("_", "-")


@register.filter
def fault_words(fault: str) -> str:
    """A fire drill's fault in a few words."""
    return FAULT_WORDS[DrillFault(fault)].partition(":")[0]
