"""Progress of long steps: a bar on a terminal, nothing in a pipe."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from mainstem.embedded.service import Progress as Step


class DownloadBar:
    """Shows the steps of an embedded service's start, in bytes."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, step: Step) -> None:
        """Called from any thread, never from two at once."""
        if step.step not in self._tasks:
            self._progress.start()
            self._tasks[step.step] = self._progress.add_task(step.step, total=step.total)
        self._progress.update(self._tasks[step.step], completed=step.done)
        if step.done >= step.total:
            self._progress.stop()


class RecordsBar:
    """Shows how many of how many records are done.

    What is printed meanwhile goes where it would have gone: above the bar on the same terminal (tables through
    *console*), and into the pipe where there is one.
    """

    def __init__(self, step: str, total: int | None = None, *, console: Console | None = None) -> None:
        is_terminal = sys.stdout.isatty()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns,
            console=console or Console(stderr=not is_terminal),
            transient=True,
            redirect_stdout=is_terminal,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task(step, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def advance(self, count: int) -> None:
        """Add what was done since the last call."""
        self._progress.advance(self._task, count)
