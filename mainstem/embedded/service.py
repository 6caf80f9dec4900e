"""What every embedded service can do: start, stop, and say where it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a long step has come, in bytes. The last one of a step has `done == total`."""

    step: str
    done: int
    total: int


ProgressHook = Callable[[Progress], None]
"""Called between start and return of `start()`, from several threads but never from two at once. Must not raise."""


class EmbeddedService(ABC):
    """A server that lives as a child of this process, with its data in one directory.

    The owner calls `start`, watches `running`, and calls `start` again after a crash and `stop` at
    the end, from one thread at a time. Nothing restarts by itself.
    """

    @abstractmethod
    def start(self) -> None:
        """Return once the server answers; do nothing if it runs already.

        May be called after the server died in any way: it comes up at the same address with every
        acknowledged write. From the first start to `stop` the directory is ours alone. Raises
        UnavailableError, with the end of the server's log where the server is to blame.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the server within a bounded time and give the directory back. May be repeated."""

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether the process is alive; says nothing about its health."""

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """The server's process while it runs."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where clients connect. Raises UnavailableError before the first start."""
