"""What a provider would bill, per provider and model, batches apart."""

import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request. ``input_tokens`` includes the cached and the written ones, which are also given
    apart.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def cache_write_tokens(self) -> int:
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def uncached_input_tokens(self) -> int:
        return self.input_tokens - self.cached_input_tokens - self.cache_write_tokens


@dataclass(slots=True)
class BillLine:
    """One provider's one model. ``input_tokens`` includes cached and written tokens."""

    provider: str
    model: str
    requests: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    batch: bool = False  # at batch prices

    def add(self, usage: Usage, output_tokens: int) -> None:
        self.requests += 1
        self.input_tokens += usage.input_tokens
        self.cached_input_tokens += usage.cached_input_tokens
        self.cache_write_tokens += usage.cache_write_tokens
        self.cache_write_5m_tokens += usage.cache_write_5m_tokens
        self.cache_write_1h_tokens += usage.cache_write_1h_tokens
        self.output_tokens += output_tokens


class Bill:
    """All lines; may be read from another thread than the one that serves."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, bool], BillLine] = {}
        self._lock = threading.Lock()

    def add(self, provider: str, model: str, usage: Usage, output_tokens: int, *, batch: bool = False) -> None:
        """Charge one request; ``output_tokens`` is what was generated, which a cut stream makes less than
        planned.
        """
        with self._lock:
            line = self._lines.get((provider, model, batch))
            if line is None:
                line = self._lines[provider, model, batch] = BillLine(provider, model, batch=batch)
            line.add(usage, output_tokens)

    def line(self, provider: str, model: str, *, batch: bool = False) -> BillLine:
        """A copy of one line; all zero where nothing was billed."""
        with self._lock:
            found = self._lines.get((provider, model, batch))
            return BillLine(**asdict(found)) if found else BillLine(provider, model, batch=batch)

    def lines(self) -> list[BillLine]:
        with self._lock:
            return [BillLine(**asdict(line)) for _, line in sorted(self._lines.items())]

    def __iter__(self) -> Iterator[BillLine]:
        return iter(self.lines())

    def clear(self) -> None:
        with self._lock:
            self._lines.clear()
