"""Disks so small that they can be filled: file systems in memory, where the machine lets us mount one."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

MEGABYTE = 1024 * 1024


class SmallDisk:
    """A file system of its own at *directory*, with room for a short round."""

    def __init__(self, directory: Path, megabytes: int) -> None:
        self._directory = directory
        self._filler = directory / "filler"
        directory.mkdir()
        options = ("-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(directory))
        self.is_mounted = (
            os.geteuid() == 0 and subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
        )

    def fill(self) -> int:
        """Take all that is left; return how many bytes that was."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (MEGABYTE, 4096):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size):
                        pass
        return self._filler.stat().st_size

    def clear(self) -> None:
        self._filler.unlink()

    def close(self) -> None:
        """Unmount, and leave what it held where it was."""
        if not self.is_mounted:
            return
        kept = self._directory.with_suffix(".kept")
        shutil.copytree(self._directory, kept, ignore=shutil.ignore_patterns(self._filler.name, "socket"))
        subprocess.run(["umount", "-l", str(self._directory)], check=True)
        self._directory.rmdir()
        kept.rename(self._directory)
