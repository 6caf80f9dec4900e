"""Where the demo lives: a data directory of its own, with the configuration in it, apart from everything real."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from mainstem import log
from mainstem.embedded import DataDirLock
from mainstem.embedded.ports import remembered_ports
from schemas.errors import ConfigError, MainstemError

TTL_SECONDS: Final = 15
"""How long the word of the incident tool holds."""

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


def write_configuration(data_dir: Path, catalog: Path) -> Path:
    """Write what the demo runs with; the API gets a port that nobody has, and keeps it."""
    file = data_dir / "mainstem.yaml"
    port = remembered_ports(data_dir / "api-port.json", 1)[0]
    text = _CONFIGURATION.format(catalog=orjson.dumps(str(catalog)).decode(), port=port, ttl=TTL_SECONDS)
    file.write_text(text, encoding="utf-8")
    return file
