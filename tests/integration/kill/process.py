"""A worker process that can be stopped, killed, and started again on the same data."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.patience import ended, granted


@dataclass(eq=False)
class WorkerProcess:
    """*settings* are those of `worker.py`, less the data directory."""

    settings: dict[str, Any]
    directory: Path
    process: "subprocess.Popen[bytes] | None" = None
    endings: list[str] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    def start(self) -> None:
        self.directory.mkdir(exist_ok=True)
        with (self.directory / "out").open("ab") as out:
            script = Path(__file__).with_name("worker.py")
            settings = json.dumps({**self.settings, "data_dir": str(self.data_dir)})
            command = [sys.executable, str(script), settings]
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart_if_ended(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            self.endings.append(self._last_words()["ended"])
            self.start()

    def restart_when_ended(self, seconds: float) -> bool:
        """Wait until the process has ended by whatever cause, and start it again; False when it has not."""
        try:
            ended(self.process, seconds)
        except AssertionError:
            return False
        self.start()
        return True

    def output(self) -> str:
        return (self.directory / "out").read_text(errors="replace")

    def wait_until_working(self, seconds: float = 40) -> None:
        """Wait until it has begun its partitions (said since its last start)."""
        deadline, said = granted() + seconds, self.output().count("processor.partitions_begun")
        while self.output().count("processor.partitions_begun") == said:
            assert self.process.poll() is None, f"the worker ended:\n{self.output()[-3000:]}"
            assert granted() < deadline, f"the worker has begun no partition:\n{self.output()[-3000:]}"
            time.sleep(0.1)

    def wait_until_ended(self, seconds: float = 40) -> str:
        """Return the sentence with which it ended by itself."""
        code = ended(self.process, seconds, lambda: f"the worker goes on:\n{self.output()[-3000:]}")
        assert code == 1, self.output()[-3000:]
        self.process = None
        return self._last_words()["ended"]

    def stop(self) -> dict[str, int]:
        """End it as an operator does; return what it counted since its last start."""
        if self.process is None:
            return {}
        self.process.send_signal(signal.SIGTERM)
        try:
            code = ended(self.process, 30)
        except AssertionError:
            self.process.send_signal(signal.SIGUSR1)  # it says where its tasks are
            time.sleep(1)
            code = None
        finally:
            self.kill()
        assert code == 0, f"stopped with {code}:\n{self.output()[-6000:]}"
        counted = self._last_words()
        del counted["ended"]
        return counted

    def _last_words(self) -> dict[str, Any]:
        """Return the last line of its own; threads that Faust leaves behind may print after it."""
        lines = [line for line in self.output().splitlines() if line.startswith('{"ended": ')]
        assert lines, f"it ended without a word:\n{self.output()[-3000:]}"
        return json.loads(lines[-1])
