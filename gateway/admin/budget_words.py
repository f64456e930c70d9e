"""A budget said in words, and how it stands as a table."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from gateway.ledger.money import usd_text
from gateway.models import Budget
from gateway.models.words import BudgetScope, Enforcement
from gateway.selectors.budget_status import BudgetStanding
from gateway.templatetags.plain_words import full_time, usd

_EVERY = {"hour": "per hour", "day": "per day", "week": "per week", "month": "per month", "total": "in all"}


def budget_sentence(row: Budget) -> str:
    """What a budget does, for somebody who doesn't know its fields."""
    span = _EVERY.get(row.window, f"every {row.window} seconds")
    sentences = [f"{_whose(row)} may cost {usd_text(row.limit_usd)} USD {span}."]
    if row.step_down_at_percent:
        sentences.append(f"From {row.step_down_at_percent} % on the route's cheap target is asked first.")
    if row.enforcement == Enforcement.BLOCK:
        shrinks = "get a shorter answer, and are refused only where not even that fits"
        sentences.append(f"Requests that don't fit {shrinks if row.shrink_output else 'are refused'}.")
    else:
        sentences.append("Nothing is refused at the limit.")
    if row.alert_at_percent:
        told = ", ".join(f"{percent} %" for percent in row.alert_at_percent)
        sentences.append(f"Thresholds: {told}.")
    return " ".join(sentences)


def _whose(row: Budget) -> str:
    if row.scope == BudgetScope.GLOBAL:
        return "Everything together"
    scope = row.get_scope_display()
    return f"The {scope} {row.subject.name}" if row.subject else f"Each {scope} on its own"


def standings_table(standings: Sequence[BudgetStanding]) -> SafeString:
    """The current window: one row per subject, the dearest first."""
    rows = format_html_join(
        "",
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        ((_subject(one), usd(one.limit_usd), usd(one.spent_usd), usd(one.reserved_usd), usd(one.remaining_usd))
         for one in standings),
    )  # fmt: skip
    head = "<thead><tr><th>For</th><th>Limit</th><th>Spent</th><th>Reserved</th><th>Left</th></tr></thead>"
    notes = " ".join(_notes(standings[0])) if standings else ""
    return format_html(
        '<table class="budget-standing w-full text-left" cellpadding="6">{}<tbody>{}</tbody></table><p>{}</p>',
        SafeString(head),
        rows,
        notes,
    )


def spent_words(dearest: BudgetStanding) -> str:
    """For a list: what the subject that spent most has spent, of how much; and that it is not the only one."""
    words = f"{usd(dearest.spent_usd)} of {usd(dearest.limit_usd)}"
    if dearest.raised_until is not None:
        words += " (raised)"
    if dearest.other_subjects:
        words += f", the most of {dearest.other_subjects + 1:,}: {_subject(dearest)}"
    return words


def _subject(one: BudgetStanding) -> str:
    name = one.subject or ("everybody" if one.scope == BudgetScope.GLOBAL else "nobody yet")
    return f"{name} ({one.team})" if one.team else name


def _notes(one: BudgetStanding) -> list[str]:
    resets = f"This window ends {full_time(one.resets_at)}." if one.resets_at else "It never resets."
    notes = [resets]
    if one.raised_until is not None:
        notes.append(f"The limit is raised by {usd(one.raised_usd)}; the raise ends {full_time(one.raised_until)}.")
    if one.other_subjects:
        notes.append(f"{one.other_subjects:,} more are not shown.")
    return notes
