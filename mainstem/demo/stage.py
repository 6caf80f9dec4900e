"""What runs beneath the demo: the real `up`, with all its roles, on a data directory of the demo's own."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from mainstem import log
from mainstem.demo.voices import Change
from mainstem.embedded import DataDirLock
from mainstem.embedded.ports import remembered_ports
from mainstem.embedded.service import ProgressHook
from mainstem.installation import Installation
from mainstem.up import run
from schemas.errors import ConfigError, MainstemError, UnavailableError
from sources.publisher import Publisher, draft

START_SECONDS: Final = 600.0
"""The first start downloads Kafka."""
TTL_SECONDS: Final = 15
"""How long the word of the incident tool holds."""

_LOOK_SECONDS: Final = 0.1
_MARK: Final = "demo"
_KEPT_VARIABLES: Final = frozenset({"MAINSTEM_CACHE_DIR", "MAINSTEM_API__PORT"})
_CONFIGURATION: Final = """\
# Written by `mainstem demo`, anew at each start.
connectors:
  - connector_id: git              # the files of a repository
    type: git
    priority: 50
    ttl: 24h
    connection: {{path: {catalog}}}
  - connector_id: incident-tool    # outranks the others, and its word holds {ttl} seconds
    type: external
    priority: 80
    ttl: {ttl}s
    asserts_existence: false
  - connector_id: team-payments    # a team that publishes by itself
    type: external
    priority: 60
api: {{port: {port}}}
"""


class Interrupted(MainstemError):  # noqa: N818 - no fault of anybody's
    """Ctrl-C, or SIGTERM, before the demo had ended."""

    exit_code = 130


class Stage:
    """A running installation. Everything that waits looks after it: it raises when `up` failed or a signal came."""

    def __init__(self, data_dir: Path, catalog: Path, progress: ProgressHook) -> None:
        self.data_dir = data_dir
        self.logs = data_dir / "logs"
        self._config_file = _write_configuration(data_dir, catalog)
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


@contextmanager
def prepared(data_dir: Path | None) -> Iterator[Path]:
    """Yield an empty data directory: *data_dir*, or one that is gone in the end unless something failed.

    What an earlier demo left in *data_dir* is removed; a directory that holds anything else is refused.
    """
    chosen = Path(tempfile.mkdtemp(prefix="mainstem-demo-")) if data_dir is None else data_dir.absolute()
    _clear(chosen)
    (chosen / "logs").mkdir()
    is_failed = True
    try:
        with (chosen / "logs" / "up.log").open("w", encoding="utf-8") as stream:
            log.configure(stream=stream, json=True)
            yield chosen
        is_failed = False
    except (Interrupted, ConfigError):
        is_failed = False
        raise
    finally:
        log.configure()
        if is_failed:
            log.warn(f"the logs of what failed are in {chosen / 'logs'}")
        elif data_dir is None:
            shutil.rmtree(chosen)


def forget_settings() -> None:
    """Take settings out of the environment, which the roles inherit: they could lead to somebody's real Kafka."""
    for name in [each for each in os.environ if each.startswith("MAINSTEM_") and each not in _KEPT_VARIABLES]:
        del os.environ[name]


def _clear(directory: Path) -> None:
    is_foreign = directory.exists() and any(directory.iterdir()) and not (directory / _MARK).exists()
    if is_foreign:
        raise ConfigError(f"{directory} holds something else than a demo; name another --data-dir")
    with DataDirLock(directory):
        (directory / _MARK).touch()
        for path in directory.iterdir():
            if path.name in {_MARK, "lock"}:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _write_configuration(data_dir: Path, catalog: Path) -> Path:
    file = data_dir / "mainstem.yaml"
    port = remembered_ports(data_dir / "api-port.json", 1)[0]
    text = _CONFIGURATION.format(catalog=orjson.dumps(str(catalog)).decode(), port=port, ttl=TTL_SECONDS)
    file.write_text(text, encoding="utf-8")
    return file
