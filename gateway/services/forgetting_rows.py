"""What a request's rows hold of a person, taken out of them; amounts, tokens, times, models and outcomes stay.

Everything here may be done twice. `of` are ids of requests that have ended; callers hold a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.engine.words import Wire
from gateway.models import (
    Attempt,
    BatchFile,
    BatchLine,
    BudgetReservation,
    Completion,
    Fallback,
    Feedback,
    IdempotencyRecord,
    StoredContent,
)
from gateway.services.batch_views import line_result

FORGOTTEN = "(forgotten)"
# A transaction of this many requests takes the ledger's turn for some 20 ms.
ROWS_PER_TRANSACTION = 50
# Not allowed in a client's conversation id, so nobody can go on with a forgotten conversation, or make one up.
_MARK = "~"


def pseudonym(number: int, what: str = "") -> str:
    """A name that says nothing, from the row that keeps the sums: the same again when it is done again."""
    return f"{_MARK}forgotten{what}-{number}"


def is_pseudonym(name: str) -> bool:
    return name.startswith(_MARK)


def texts_erase(of: Sequence[str]) -> None:
    """Contents, notes, kept answers, and sentences of providers, which may quote what was asked."""
    StoredContent.objects.filter(completion_id__in=of).delete()
    IdempotencyRecord.objects.filter(owner__in=of).exclude(answer="").delete()
    Feedback.objects.filter(completion_id__in=of).exclude(note="").update(note="")
    Completion.objects.filter(pk__in=of).exclude(error_message="").update(error_message=FORGOTTEN)
    attempts = Attempt.objects.filter(completion_id__in=of)
    attempts.exclude(message="").update(message=FORGOTTEN)
    attempts.filter(number__gt=1).update(reason=FORGOTTEN)  # it quotes the failure before
    attempts.exclude(upstream_id="").update(upstream_id="")
    Fallback.objects.filter(completion_id__in=of).update(reason=FORGOTTEN)
    _batch_lines_erase(of)


def _batch_lines_erase(of: Sequence[str]) -> None:
    """Of batches that have ended, and the files they were read from: those hold the requests as they were sent."""
    lines = BatchLine.objects.filter(completion_id__in=of, batch__ended_at__isnull=False)
    for line in lines.select_related("batch"):
        line.custom_id, line.request, line.result = f"{FORGOTTEN} {line.number}", b"", b""
        line.size_bytes = len(line_result(Wire(line.batch.wire), line))
        line.save(update_fields=["custom_id", "request", "result", "size_bytes"])
        BatchFile.objects.filter(pk=line.batch.input_file_id, batch_id="").delete()


def subject_replace(of: Sequence[str], old: str, new: str) -> None:
    """In what budgets said when the requests began, and in what an orphan that may yet be corrected has charged."""
    BudgetReservation.objects.filter(completion_id__in=of, subject=old).update(subject=new)
    rows = list(Completion.objects.filter(pk__in=of, budget_checks__isnull=False).only("pk", "budget_checks"))
    for row in rows:
        for check in row.budget_checks or ():
            if check.get("subject") == old:
                check["subject"] = new
    Completion.objects.bulk_update(rows, ["budget_checks"])
