"""npm, run by tests. `python -m tests.backstage.npm` installs what they need.

Backstage is kept in the cache of the embedded services; our module is built where it lies.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mainstem.embedded import default_cache_dir

BACKEND = Path(__file__).with_name("backend")
MODULE = Path(__file__).parents[2] / "deploy" / "backstage-module"
MODULE_NAME = "backstage-plugin-catalog-backend-module-mainstem"
_INSTALL_TIMEOUT_S = 900


def available() -> bool:
    return all(shutil.which(program) for program in ("node", "npm"))


def installed_backend() -> Path:
    """Return a directory whose `node_modules` is what the backend's lock says; installed once for each lock."""
    key = hashlib.sha256((BACKEND / "package-lock.json").read_bytes()).hexdigest()[:12]
    kept = default_cache_dir() / "backstage"
    place = kept / key
    with _exclusive(kept):
        if not place.exists():
            # Renamed when whole: an interrupted installation would pass for a finished one.
            fresh = kept / f"{key}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(BACKEND / name, fresh)
            npm("ci", "--ignore-scripts", "--prefer-offline", cwd=fresh)
            fresh.rename(place)
    return place


def install_module(site: Path) -> None:
    """Build and pack the module as it would be published, and put what the package holds into *site*."""
    site.mkdir(parents=True)
    prepare_module()
    with _exclusive(MODULE):
        npm("pack", "--pack-destination", str(site), cwd=MODULE)
    (archive,) = site.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(site, filter="data")
    (site / "package").rename(site / MODULE_NAME)
    archive.unlink()


def prepare_module() -> None:
    """Install what the module is built and checked with, where that is not what its lock says."""
    with _exclusive(MODULE):
        if _is_stale(MODULE):
            npm("ci", "--ignore-scripts", "--prefer-offline", cwd=MODULE)


def _is_stale(package: Path) -> bool:
    done = package / "node_modules" / ".package-lock.json"
    return not done.exists() or done.stat().st_mtime < (package / "package-lock.json").stat().st_mtime


def npm(*arguments: str, cwd: Path) -> None:
    command = ["npm", *arguments]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False)
    assert ended.returncode == 0, f"`{' '.join(command)}` failed in {cwd}:\n{ended.stdout}{ended.stderr}"


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    held = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


if __name__ == "__main__":
    # Half a gigabyte together: mostly a wait for the registry and the disk.
    with ThreadPoolExecutor(2) as pool:
        for installing in [pool.submit(installed_backend), pool.submit(prepare_module)]:
            installing.result()
