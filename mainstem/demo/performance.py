"""The demo from its first line to its last: the stage is set, the story told, and either all ends or all goes on."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mainstem.commands.progress import DownloadBar
from mainstem.demo.catalogue import SAMPLE, Catalogue, read_catalogue
from mainstem.demo.encore import next_commands
from mainstem.demo.evidence import Evidence
from mainstem.demo.place import Interrupted, forget_settings, prepared
from mainstem.demo.screen import Screen
from mainstem.demo.stage import Stage
from mainstem.demo.story import Story
from schemas.errors import ConfigError

_LOOK_SECONDS: Final = 3600.0


def perform(catalog: Path | None, data_dir: Path | None, *, once: bool) -> None:
    """Tell the story. *data_dir* None: a temporary one. Raises Disproved when a step is not as promised."""
    began = time.monotonic()
    forget_settings()
    screen = Screen()
    if catalog is not None and not catalog.exists():
        raise ConfigError(f"--catalog {catalog}: there is no such file or directory")
    with prepared(data_dir) as directory:
        catalogue = read_catalogue(_directory(catalog, directory))
        with _running(directory, catalogue, screen) as stage:
            _tell(stage, screen, catalogue)
            if once:
                screen.title(f"All steps were as promised; {time.monotonic() - began:.0f} s in all.")
            else:
                _stay(stage, screen, catalogue)


@contextmanager
def _running(directory: Path, catalogue: Catalogue, screen: Screen) -> Iterator[Stage]:
    screen.title("Mainstem's demo: many systems speak about one service, and one entity comes of it")
    screen.step(1, "Start: Kafka, Postgres and every role of Mainstem, all of them real, on this machine")
    began = time.monotonic()
    with DownloadBar() as bar:
        stage = Stage(directory, catalogue.directory, bar.show if screen.is_terminal else screen.announce)
        stage.stop_on_signals()
        try:
            screen.say("... waiting for all roles to be ready", style="dim")
            stage.start()
            screen.say(f"ready after {time.monotonic() - began:.1f} s; the roles' logs: {stage.logs}")
            yield stage
        finally:
            stage.stop()


def _tell(stage: Stage, screen: Screen, catalogue: Catalogue) -> None:
    evidence = Evidence(stage.installation)
    try:
        Story(stage, screen, catalogue, evidence).tell()
    finally:
        evidence.close()


def _stay(stage: Stage, screen: Screen, catalogue: Catalogue) -> None:
    screen.title("Everything goes on running. In another terminal, from this directory:")
    now = time.time_ns() // 1_000_000
    for command, meaning in next_commands(stage, catalogue.hero, catalogue.entities[catalogue.hero], now):
        screen.command(command, meaning)
    screen.title("Ctrl-C ends it.")
    try:
        while not stage.wait_until(lambda: False, _LOOK_SECONDS):
            pass
    except Interrupted:
        screen.say("stopping")


def _directory(catalog: Path | None, data_dir: Path) -> Path:
    if catalog is None or catalog.is_dir():
        return SAMPLE if catalog is None else catalog.absolute()
    copied = data_dir / "catalog"
    copied.mkdir()
    shutil.copy(catalog, copied)
    return copied
