"""The responses OpenAI keeps: to be shown, deleted, and gone on from by their id."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from gateway.simulator.errors import InvalidRequest, WireError

MAX_RESPONSES = 1000
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """One response: its JSON, and the dialogue up to and with its output. ``size`` is the bytes it is counted with."""

    body: bytes
    items: list[dict[str, Any]]
    output: list[dict[str, Any]]
    size: int


class ResponseStore:
    """The latest responses, at most `MAX_RESPONSES` of together `MAX_BYTES`; the oldest go first."""

    def __init__(self) -> None:
        self._stored: OrderedDict[str, Stored] = OrderedDict()
        self._bytes = 0

    def keep(self, response_id: str, stored: Stored) -> None:
        self._drop(response_id)
        self._stored[response_id] = stored
        self._bytes += stored.size
        while len(self._stored) > MAX_RESPONSES or self._bytes > MAX_BYTES:
            self._drop(next(iter(self._stored)))

    def body(self, response_id: str) -> bytes:
        """A kept response as it was answered. Raises a 404 `WireError`."""
        stored = self._stored.get(response_id)
        if stored is None:
            raise _not_found(f"Response with id '{response_id}' not found.")
        return stored.body

    def delete(self, response_id: str) -> None:
        """Forget a response. Raises a 404 `WireError`."""
        self.body(response_id)
        self._drop(response_id)

    def dialogue(self, response_id: str) -> list[dict[str, Any]]:
        """What a ``previous_response_id`` stands for. Raises `InvalidRequest`."""
        stored = self._stored.get(response_id)
        if stored is None:
            raise InvalidRequest(
                f"Previous response with id '{response_id}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return stored.items

    def item(self, item_id: str) -> dict[str, Any]:
        """What an ``item_reference`` stands for: an output item. Raises a 404 `WireError`."""
        for stored in reversed(self._stored.values()):
            for item in stored.output:
                if item["id"] == item_id:
                    return item
        raise _not_found(f"Item with id '{item_id}' not found.", param="input")

    def clear(self) -> None:
        self._stored.clear()
        self._bytes = 0

    def _drop(self, response_id: str) -> None:
        stored = self._stored.pop(response_id, None)
        if stored is not None:
            self._bytes -= stored.size


def _not_found(message: str, *, param: str | None = None) -> WireError:
    return WireError(404, "invalid_request_error", message, param=param)
