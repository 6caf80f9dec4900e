"""Kafka's jars: fetched from Maven once, checked against a list, kept for every data directory.

`kafka-4.3.1.jars` is the list: SHA-256, size in bytes, Maven coordinate. It is what `jgo.resolve` says about
`org.apache.kafka:kafka_2.13:4.3.1` and `org.apache.logging.log4j:log4j-slf4j-impl:2.25.4`.
"""

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stamina

from mainstem.embedded.service import Progress, ProgressHook
from schemas.errors import UnavailableError

VERSION = "4.3.1"
_TIMEOUT_S = 30
_DOWNLOADS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def default_cache_dir() -> Path:
    """Return where downloads are kept unless the user says otherwise. For the edge: reads the environment."""
    if chosen := os.environ.get("MAINSTEM_CACHE_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mainstem"


def kafka_jars() -> tuple[Jar, ...]:
    lines = Path(__file__).with_name(f"kafka-{VERSION}.jars").read_text().splitlines()
    return tuple(_parse(*line.split()) for line in lines)


def ensure_jars(
    jars: Sequence[Jar], directory: Path, *, progress: ProgressHook | None = None, repository: str | None = None
) -> list[Path]:
    """Return the jars' paths in *directory*, fetching what is missing; asks nobody when nothing is.

    Several processes may call it at once: one fetches, the others wait. A jar lies in *directory* only
    when it is whole. *repository* is the address of a Maven mirror; None means Maven Central.
    """
    paths = [directory / jar.filename for jar in jars]
    if all(path.exists() for path in paths):
        return paths
    try:
        with _exclusive(directory):
            missing = [jar for jar in jars if not (directory / jar.filename).exists()]
            _fetch(missing, directory, progress, repository)
    except (OSError, RuntimeError) as error:
        raise UnavailableError(
            f"could not download Kafka {VERSION} from Maven: {error}; check network and proxy, "
            "or configure kafka.bootstrap_servers"
        ) from error
    return paths


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(jars: Sequence[Jar], directory: Path, progress: ProgressHook | None, repository: str | None) -> None:
    incoming = directory / "incoming"
    meter = _Meter(sum(jar.size for jar in jars), progress)
    try:
        with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
            for _ in pool.map(lambda jar: _fetch_one(jar, directory, incoming, meter, repository), jars):
                pass
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


@stamina.retry(on=(OSError, RuntimeError), attempts=3)
def _fetch_one(jar: Jar, directory: Path, incoming: Path, meter: "_Meter", repository: str | None) -> None:
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - half a second, spent only on a download
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - the same

    # What an interrupted download left is wiped first: jgo takes any file that it finds for a whole one.
    mine = incoming / jar.filename
    shutil.rmtree(mine, ignore_errors=True)
    context = MavenContext(
        resolver=PythonResolver(progress_callback=meter.file),
        repo_cache=mine,
        local_repos=[],
        remote_repos={"central": repository or MAVEN_CENTRAL_URL},
        timeout=_TIMEOUT_S,
    )
    fetched = Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
    if hashlib.sha256(fetched.read_bytes()).hexdigest() != jar.sha256:
        raise RuntimeError(f"{jar.filename} is not the file that this release was made with")
    fetched.replace(directory / jar.filename)


class _Meter:
    """Adds up the bytes of downloads that run side by side."""

    def __init__(self, total: int, hook: ProgressHook | None) -> None:
        self._guard = threading.Lock()
        self._hook = hook
        self._total = total
        self._done = 0

    @contextmanager
    def file(self, _name: str, _size: int) -> Iterator[Any]:
        yield self._add

    def _add(self, count: int) -> None:
        with self._guard:
            # A retry counts its bytes again.
            self._done = min(self._done + count, self._total)
            if self._hook is not None:
                self._hook(Progress(step=f"downloading Kafka {VERSION}", done=self._done, total=self._total))


def _parse(sha256: str, size: str, coordinate: str) -> Jar:
    group, artifact, version = coordinate.split(":")
    return Jar(group=group, artifact=artifact, version=version, sha256=sha256, size=int(size))
