"""How many tokens a message would have: from the provider that would answer it, else a fair guess."""

from __future__ import annotations

import orjson

from gateway.engine.configuration import Target
from gateway.engine.errors import GatewayError, UpstreamAnswer, UpstreamError
from gateway.engine.exchange import Answer, Ask
from gateway.engine.retry import PASSED_ON
from gateway.engine.routing import plan_completion
from gateway.engine.words import Operation, Wire
from gateway.services.access import route_for
from gateway.services.call import Call, forwarded_headers
from gateway.services.limits import limits_admit
from gateway.services.runtime import Runtime
from gateway.services.work import PlainReply
from gateway.wires import ParsedRequest, count_tokens_estimate, parse_call

# Clients count before they ask; a guess now is worth more than a number late.
COUNT_TIMEOUT_SECONDS = 5.0


async def tokens_count(runtime: Runtime, call: Call) -> PlainReply:
    """`{"input_tokens": n}`, as the route's first target would count. Costs nothing, so nothing is booked.

    The provider's own number bears its name in the headers; without one it is an estimate. Raises GatewayError; of the
    provider's failures only that it finds fault with the request (its 400).
    """
    admission = await limits_admit(runtime.limits, call)
    try:
        reply = await _count(runtime, call)
    except GatewayError as error:
        error.headers = {**admission.headers, **error.headers}
        raise
    finally:
        admission.finish()
    reply.headers.update(admission.headers)
    return reply


async def _count(runtime: Runtime, call: Call) -> PlainReply:
    parsed = parse_call(call.operation, call.body)
    route = route_for(runtime.snapshot, call.key, parsed.model)
    targets = plan_completion(route, parsed.model).targets
    if targets and targets[0].provider.kind is Wire.ANTHROPIC:
        answer = await _ask_provider(runtime, call, parsed, targets[0])
        if answer is not None:
            named = {"x-llmops-provider": targets[0].provider.name, "x-llmops-model": targets[0].model}
            return PlainReply(answer.body, named)
    return PlainReply(orjson.dumps({"input_tokens": count_tokens_estimate(parsed.payload)}), {})


async def _ask_provider(runtime: Runtime, call: Call, parsed: ParsedRequest, target: Target) -> Answer | None:
    """None where the provider gives no number. What becomes of a count says nothing to the breaker."""
    if not runtime.breakers.is_closed(target.provider):
        return None
    ask = Ask(
        request_id=call.request_id,
        surface=call.operation.surface,
        payload=parsed.payload,
        body=call.body,
        stream=parsed.stream,
        forwarded_headers=forwarded_headers(call),
        operation=Operation.COUNT_TOKENS,
    )
    clock = runtime.engine.clock
    try:
        async with clock.timeout(COUNT_TIMEOUT_SECONDS):
            return await runtime.engine.caller_of(target.provider).answer(ask, target)
    except TimeoutError:
        return None
    except UpstreamError as error:
        if error.kind in PASSED_ON and error.status == 400:
            raise UpstreamAnswer(error) from error
        return None
