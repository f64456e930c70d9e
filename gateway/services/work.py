"""One completion between its intent and its settlement, and how it is settled whatever its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.engine.completion import Completion
from gateway.engine.errors import GatewayError, ShuttingDown
from gateway.engine.exchange import Answer
from gateway.engine.words import FinishReason
from gateway.ledger.money import usd_text
from gateway.ledger.records import BudgetCheck, Intent
from gateway.metrics import own_time_counted
from gateway.services.call import Call
from gateway.services.charging import BoundsOf
from gateway.services.header_names import names_in_header
from gateway.services.limits import Admission
from gateway.services.runtime import Runtime
from gateway.services.settling import Ending, Receipt, settle
from gateway.services.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class PlainReply:
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Work:
    """One completion between its intent and its settlement."""

    runtime: Runtime
    call: Call
    intent: Intent
    completion: Completion
    bounds: BoundsOf
    snapshot: Snapshot
    budget_remaining_usd: Decimal | None
    budget_checks: tuple[BudgetCheck, ...] = ()
    adjusted: Mapping[str, str] = field(default_factory=dict)  # headers that tell what budgets made of the request
    admission: Admission | None = None
    cache: str = "bypass"
    receipt: Receipt | None = None  # once it is settled, as is the reason why the model stopped
    finish_reason: FinishReason | None = None
    opened_seconds: float = 0.0  # from the request's arrival until its intent was written

    async def settle_answer(self, answer: Answer) -> PlainReply:
        ending = Ending(http_status=200, finish_reason=answer.finish_reason, model=answer.model)
        receipt = await self.settle(ending)
        headers = self.headers()
        headers["x-llmops-cost-usd"] = usd_text(receipt.cost_usd)
        if receipt.conversation_cost_usd is not None:
            headers["x-llmops-conversation-cost-usd"] = usd_text(receipt.conversation_cost_usd)
        if receipt.budget_remaining_usd is not None:
            headers["x-llmops-budget-remaining-usd"] = usd_text(receipt.budget_remaining_usd)
        return PlainReply(answer.body, headers)

    async def settle_failure(self, error: BaseException) -> None:
        """Settle a completion that gave no answer; a GatewayError is told what is known of it in its headers.

        A client that has left (a CancelledError, or the server's own end) doesn't wait for it. Once the drain is over
        it hasn't left: we break off.
        """
        if not isinstance(error, Exception) and self.runtime.breaking_off:
            error = ShuttingDown()
        if isinstance(error, GatewayError):
            receipt = await self.settle(Ending(error.status, error=error))
            error.headers = {**self.headers(), "x-llmops-cost-usd": usd_text(receipt.cost_usd)}
        elif isinstance(error, Exception):
            broken = GatewayError(f"Something broke inside the gateway: {type(error).__name__}.")
            self.runtime.in_background(self.settle(Ending(broken.status, error=broken)))
        else:
            self.runtime.in_background(self.settle(Ending(499, error=None, client_left=True)))

    async def settle(self, ending: Ending) -> Receipt:
        tokens, began = None, self.runtime.clock.monotonic()
        try:
            receipt = await settle(
                self.runtime.ledger,
                self.snapshot.price_book,
                self.intent,
                self.completion,
                self.bounds,
                ending,
                self.budget_checks,
                cache=self.cache,
            )
            self.receipt, self.finish_reason = receipt, ending.finish_reason
            tokens = receipt.tokens
        finally:
            own_time_counted(self.opened_seconds + self.runtime.clock.monotonic() - began)
            if self.admission is not None:
                self.admission.finish(tokens)
        return receipt

    def headers(self) -> dict[str, str]:
        """The response headers that are known when the answer begins."""
        headers = {
            "x-conversation-id": self.intent.conversation,
            "x-llmops-attempts": str(sum(attempt.sent for attempt in self.completion.attempts)),
            "x-llmops-fallback": "true" if self.completion.fallbacks else "false",
            "x-llmops-cache": self.cache,
            "x-should-retry": "false",
            **self.adjusted,
        }
        served = self.completion.served
        if served is not None:
            headers["x-llmops-provider"] = served.target.provider.name
            headers["x-llmops-model"] = served.target.model
            headers.update(served.rate_limits)
            if served.dropped_params:
                headers["x-llmops-dropped-params"] = names_in_header(served.dropped_params)
        if self.admission is not None and self.admission.headers:
            # The key's own limits are the ones its client runs into; those of the provider's account are everybody's.
            headers = {name: value for name, value in headers.items() if "ratelimit" not in name}
            headers.update(self.admission.headers)
        return headers
