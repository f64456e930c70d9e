"""The error bodies of faults, in each provider's words."""

from gateway.simulator.errors import WireError
from gateway.simulator.faults import Fault

_OPENAI_BY_STATUS = {
    400: ("invalid_request_error", "We could not process your request.", None),
    401: ("invalid_request_error", "Incorrect API key provided.", "invalid_api_key"),
    403: (
        "invalid_request_error",
        "Country, region, or territory not supported",
        "unsupported_country_region_territory",
    ),
    404: (
        "invalid_request_error",
        "The model does not exist or you do not have access to it.",
        "model_not_found",
    ),
    429: (
        "requests",
        "Rate limit reached on requests per min (RPM). Please try again later.",
        "rate_limit_exceeded",
    ),
    500: ("server_error", "The server had an error while processing your request. Sorry about that!", None),
    503: ("server_error", "The engine is currently overloaded, please try again later.", None),
}
_OPENAI_BY_TYPE = {
    "insufficient_quota": (
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
    ),
    "context_length_exceeded": (
        "invalid_request_error",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 150000 "
        "tokens. Please "
        "reduce the length of the messages.",
        "context_length_exceeded",
    ),
    "content_policy_violation": (
        "invalid_request_error",
        "Your request was rejected as a result of our safety system.",
        "content_policy_violation",
    ),
}
_ANTHROPIC_BY_STATUS = {
    400: ("invalid_request_error", "We could not process your request."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your billing or payment information."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: (
        "rate_limit_error",
        "This request would exceed your organization's rate limit. Please try again later.",
    ),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}
_ANTHROPIC_BY_TYPE = {
    "insufficient_quota": (
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API.",
    ),
    "context_length_exceeded": (
        "invalid_request_error",
        "prompt is too long: 250000 tokens > 200000 maximum",
    ),
    "content_policy_violation": ("invalid_request_error", "Output blocked by content filtering policy"),
}


def status_error(provider: str, fault: Fault) -> WireError:
    """What a ``status`` fault answers."""
    return _error(provider, fault, fault.status)


def event_error(provider: str, fault: Fault) -> WireError:
    """What an ``error_event`` fault sends inside a stream."""
    return _error(provider, fault, 500 if provider == "openai" else 529)


def _error(provider: str, fault: Fault, status: int) -> WireError:
    kind, message, code = (_openai if provider == "openai" else _anthropic)(fault.error_type, status)
    return WireError(
        status,
        kind,
        fault.message or message,
        code=fault.code or code,
        retry_after=fault.retry_after,
    )


def _openai(error_type: str | None, status: int) -> tuple[str, str, str | None]:
    if error_type in _OPENAI_BY_TYPE:
        return _OPENAI_BY_TYPE[error_type]
    default = _OPENAI_BY_STATUS[500] if status > 500 else _OPENAI_BY_STATUS[400]
    kind, message, code = _OPENAI_BY_STATUS.get(status, default)
    return error_type or kind, message, code


def _anthropic(error_type: str | None, status: int) -> tuple[str, str, str | None]:
    if error_type in _ANTHROPIC_BY_TYPE:
        return (*_ANTHROPIC_BY_TYPE[error_type], None)
    default = _ANTHROPIC_BY_STATUS[500] if status > 500 else _ANTHROPIC_BY_STATUS[400]
    kind, message = _ANTHROPIC_BY_STATUS.get(status, default)
    return error_type or kind, message, None
