"""What runs beneath the demo: the real `up`, with all its roles, on a data directory of the demo's own."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mainstem.demo.place import Interrupted, write_configuration
from mainstem.demo.voices import Change
from mainstem.embedded.service import ProgressHook
from mainstem.installation import Installation
from mainstem.up import run
from schemas.errors import UnavailableError
from sources.publisher import Publisher, draft

START_SECONDS: Final = 600.0
"""The first start downloads Kafka."""
_LOOK_SECONDS: Final = 0.1


class Stage:
    """A running installation. Everything that waits looks after it: it raises when `up` failed or a signal came."""

    def __init__(self, data_dir: Path, catalog: Path, progress: ProgressHook) -> None:
        self.data_dir = data_dir
        self.logs = data_dir / "logs"
        self._config_file = write_configuration(data_dir, catalog)
        self._progress = progress
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="up", daemon=True)

    @property
    def installation(self) -> Installation:
        return Installation.open(self._config_file, self.data_dir)

    @property
    def api(self) -> str:
        running = self.installation.running
        return (running and running.api) or ""

    def start(self) -> None:
        """Return once every role is ready."""
        self._thread.start()
        if not self.wait_until(self._ready.is_set, START_SECONDS):
            raise UnavailableError(f"not every role became ready; {self.logs} tells more")

    def stop(self) -> None:
        """End everything. May be repeated."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def wait_until(self, is_met: Callable[[], bool], seconds: float) -> bool:
        """Wait, and return whether *is_met* came true within *seconds*."""
        deadline = time.monotonic() + seconds
        while True:
            self.look_after()
            if is_met():
                return True
            if time.monotonic() > deadline:
                return False
            self._stop.wait(_LOOK_SECONDS)

    def look_after(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._stop.is_set():
            raise Interrupted("stopped")

    def publish(self, connector: str, changes: list[Change]) -> None:
        """Publish as any program would; return when Kafka has acknowledged all."""
        installation = self.installation
        publisher = Publisher(installation.client, installation.topics.changes(connector))
        publisher.publish([draft(change, connector) for change in changes])

    def stop_on_signals(self) -> None:
        """End on the first signal in good order, on the second at once: the children die with us."""

        def stop(number: int, _: object) -> None:
            signal.signal(number, signal.SIG_DFL)
            self._stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)

    def _run(self) -> None:
        try:
            run(
                self.installation,
                ready_file=None,
                progress=self._progress,
                log_dir=self.logs,
                stop=self._stop,
                on_ready=self._ready,
            )
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            self._failure = error
