"""A real Prometheus for tests: the one on the PATH, or Debian's package, unpacked in the cache and not installed."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mainstem.embedded import default_cache_dir

ABSENT = "Prometheus and apt-get are not on this machine"


def tool(name: str) -> str:
    """Return the path of `promtool` or `prometheus`. Skips where it cannot be had; fails where it should be."""
    if found := shutil.which(name):
        return found
    unpacked = default_cache_dir() / "prometheus"
    binary = unpacked / "usr/bin" / name
    if not binary.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            pytest.skip(ABSENT)
        _unpack(unpacked)
    return str(binary)


def _unpack(target: Path) -> None:
    incoming = target.with_name("prometheus-incoming")
    incoming.mkdir(parents=True, exist_ok=True)
    with (incoming / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # several test processes may come at once
        if target.exists():
            return
        shutil.rmtree(incoming / "whole", ignore_errors=True)
        _download(incoming)
        (package,) = incoming.glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(incoming / "whole")], check=True)
        (incoming / "whole").rename(target)
        package.unlink()


def _download(directory: Path) -> None:
    """Fetch the package as any user may; where apt knows no packages yet, with lists of our own."""
    if _apt("download", "prometheus", cwd=directory) == 0:
        return
    lists, archives = directory / "lists", directory / "archives"
    for folder in (lists / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    own = [f"-oDir::State::lists={lists}", f"-oDir::Cache={archives}"]
    assert _apt(*own, "update", cwd=directory) == 0, "apt-get update failed: Debian's packages cannot be reached"
    assert _apt(*own, "download", "prometheus", cwd=directory) == 0, "there is no package prometheus to download"


def _apt(*arguments: str, cwd: Path) -> int:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(
        ["apt-get", "-qq", *arguments], cwd=cwd, env=environment, capture_output=True, check=False
    ).returncode
