"""Keep one process's snapshot fresh: a thread that watches the version and swaps in what changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import connections

from gateway.engine.errors import GatewayError
from gateway.services.configuration import configuration_version
from gateway.services.snapshot import Snapshot
from gateway.services.snapshot_load import snapshot_load

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5  # edits must be live within two seconds
# While nothing can be read that is said at once, then after this time, then at twice the distance, and so on.
COMPLAIN_AGAIN_SECONDS = 10.0
COMPLAIN_AGAIN_MAX_SECONDS = 600.0


class ConfigurationNotLoaded(GatewayError):
    """No configuration has been read since this process began."""

    status, code = 503, "not_ready"


class SnapshotHolder:
    """`current` is the newest snapshot that could be built; reading it costs nothing and never blocks.

    With the database away, or a configuration that can't be built, the old snapshot stays; that is logged at once, and
    at growing distances as long as it lasts. `monotonic` tells the time for these.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Snapshot] = snapshot_load,
        version: Callable[[], int] = configuration_version,
        poll_seconds: float = POLL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._version = version
        self._poll_seconds = poll_seconds
        self._snapshot: Snapshot | None = None
        self._loaded = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._monotonic = monotonic
        self._complain_at = float("-inf")
        self._complain_again_seconds = COMPLAIN_AGAIN_SECONDS
        self._loading = threading.Lock()  # the watcher and whoever announces a change load one after the other

    @property
    def current(self) -> Snapshot:
        """Raises ConfigurationNotLoaded before the first snapshot."""
        if self._snapshot is None:
            raise ConfigurationNotLoaded(
                "The gateway has not read its configuration from the database yet.", retry_after_seconds=1
            )
        return self._snapshot

    @property
    def loaded(self) -> bool:
        return self._snapshot is not None

    def start(self) -> None:
        """Begin watching in a daemon thread of its own, which has its own database connection."""
        if self._thread is not None:
            return
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name="configuration", daemon=True)
        self._thread.start()

    def wait(self, timeout_seconds: float) -> bool:
        """Whether a snapshot is there, waiting for the first one at most this long."""
        return self._loaded.wait(timeout_seconds)

    def stop(self) -> None:
        """End the thread and wait for it; the last snapshot stays readable."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def refresh(self) -> Snapshot:
        """Load now, in the caller's thread; errors leave."""
        with self._loading:
            self._swap(self._load())
        return self.current

    def poll(self) -> None:
        """One look at the version; loads what changed. Never raises."""
        with self._loading:
            self._look()

    def _look(self) -> None:
        try:
            if self._snapshot is None or self._version() > self._snapshot.version:
                self._swap(self._load())
            self._complain_at, self._complain_again_seconds = float("-inf"), COMPLAIN_AGAIN_SECONDS
        except Exception as error:  # whatever is wrong with the new configuration, the old one keeps serving
            connections.close_all()
            self._complain(error)

    def _swap(self, snapshot: Snapshot) -> None:
        if self._snapshot is not None and snapshot.version < self._snapshot.version:
            return  # read from a replica or a transaction that lags behind
        self._snapshot = snapshot
        self._loaded.set()
        logger.info("configuration version %d is live", snapshot.version)

    def _complain(self, error: Exception) -> None:
        """Whatever the error's words: a database that comes and goes finds new ones each time."""
        now = self._monotonic()
        if now < self._complain_at:
            return
        kept = "serving version %d" % self._snapshot.version if self._snapshot else "none is loaded yet"  # noqa: UP031
        logger.error("the configuration can't be read (%s): %s: %s", kept, type(error).__name__, error)
        self._complain_at = now + self._complain_again_seconds
        self._complain_again_seconds = min(2 * self._complain_again_seconds, COMPLAIN_AGAIN_MAX_SECONDS)

    def _watch(self) -> None:
        try:
            while not self._stopping.is_set():
                self.poll()
                self._stopping.wait(self._poll_seconds)
        finally:
            connections.close_all()
