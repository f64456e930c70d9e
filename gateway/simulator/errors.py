"""What a provider refuses, before a wire gives it its shape."""


class WireError(Exception):
    """A refusal: the HTTP status and the fields of the error body.

    ``kind`` is the body's ``type`` (``invalid_request_error``, ``rate_limit_error``, …); ``param`` and
    ``code`` exist on OpenAI's wire only.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after


class InvalidRequest(WireError):
    """A 400 of type ``invalid_request_error``."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(400, "invalid_request_error", message, param=param, code=code)
