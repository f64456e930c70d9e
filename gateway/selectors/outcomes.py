"""What became of a completion, as conditions on its row: one meaning of each word for every page and report."""

from __future__ import annotations

from django.db.models import Case, F, Q, When
from django.db.models.expressions import RawSQL

from gateway.engine.errors import BudgetExceeded, ModelNotFound, NotAllowed, NotAuthenticated, RateLimited
from gateway.engine.words import CompletionStatus, FailureKind
from gateway.models.completion import TROUBLED

# What makes a request without an answer the client's own doing, or a limit of ours that it ran into. Everything else
# counts against the service, also what a provider said of us with a 4xx: its 429, a spent quota, an unknown model.
# With these statuses we and the providers say that the request itself can't be used.
_CLIENT_STATUSES = (400, 405, 413, 422)
_CLIENT_CODES = tuple(
    kind.value for kind in (FailureKind.INVALID_REQUEST, FailureKind.CONTEXT_TOO_LONG, FailureKind.CONTENT_POLICY)
)
# Providers say these as well, and mean us: they are the client's only where no provider was asked.
_OWN_REFUSALS = (NotAuthenticated.code, NotAllowed.code, ModelNotFound.code, RateLimited.code)

PENDING = Q(status=CompletionStatus.PENDING)
ANSWERED = Q(status=CompletionStatus.ANSWERED)
CANCELLED = Q(status=CompletionStatus.CANCELLED)
_CLIENTS_OWN = (
    Q(http_status__in=_CLIENT_STATUSES)
    | Q(http_status__lt=500, error_code__in=_CLIENT_CODES)
    | Q(attempt_count=0, error_code__in=_OWN_REFUSALS)
    | Q(error_code=BudgetExceeded.code, http_status=BudgetExceeded.status)
)
TURNED_AWAY = Q(status=CompletionStatus.REFUSED)  # before it began: neither a completion nor spend
REFUSED = TURNED_AWAY | (Q(status=CompletionStatus.FAILED) & _CLIENTS_OWN)
FAILED = Q(status=CompletionStatus.UNKNOWN) | (Q(status=CompletionStatus.FAILED) & ~_CLIENTS_OWN)
# A fire drill touched it: it counts in no objective.
DRILLED = Q(drill_id__isnull=False)
FELL_BACK = Q(fell_back=True) & ~PENDING

# The same in literals, where few rows are looked for among very many: SQLite uses an index of some rows only where it
# reads their condition word for word.
IN_TROUBLE = Q(status__in=[RawSQL(f"'{word}'", ()) for word in TROUBLED])  # noqa: S611 (our own words)
UNSETTLED = Q(status=RawSQL(f"'{CompletionStatus.PENDING}'", ()))  # noqa: S611 (our own word)

# How long a client waited: a plain answer's whole time, a stream's time to its first content.
RESPONSE_MS = Case(When(stream=True, then=F("first_content_ms")), default=F("latency_ms"))
