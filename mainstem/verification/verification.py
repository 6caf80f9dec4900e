"""`mainstem verify`: records merged anew = entities topic = tables, while everything runs.

Of each partition the ends are taken first, then both topics are read up to them, then the sink is waited for, then
the rows are looked at. What differs may have moved meanwhile: it is followed and looked at again, and counts once two
looks in a row, a second apart, found the very same.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from mainstem.verification.sides import Difference, Found, Wanted, differences
from mainstem.verification.tables import Tables
from mainstem.verification.topics import Reader
from schemas.errors import UnavailableError
from schemas.partitions import partition_of
from schemas.refs import parse_entity_key
from sinks.base import Positions

LOOKS: Final = 10
PAUSE_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 30.0
"""How long the sink may write nothing of what it has to."""

Show = Callable[[int, int], None]
Findings = Mapping[bytes, list[Difference]]


@dataclass(slots=True)
class Report:
    """What came of it."""

    entities: int = 0
    """Keys that the topics hold."""
    differences: list[Difference] = field(default_factory=list)
    unsettled: int = 0
    """Keys that changed at every look: nothing can be said about them."""


class Verification:
    """One comparison of everything. Memory holds the digests of one partition at a time."""

    def __init__(
        self, reader: Reader, tables: Tables, partitions: int, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._reader = reader
        self._tables = tables
        self._partitions = partitions
        self._pause = pause
        self._total = self._done = 0

    def run(self, show: Show) -> Report:
        report = Report()
        ends = {number: self._reader.ends(number) for number in range(self._partitions)}
        self._total = sum(end for each in ends.values() for end in each.values())
        suspects: dict[bytes, Wanted] = {}
        findings: dict[bytes, list[Difference]] = {}
        for number in range(self._partitions):
            known: dict[bytes, Wanted] = {}
            self._follow(number, known, show)
            report.entities += len(known)
            found = dict(self._compared(known))
            findings |= found
            suspects |= {key: known[key] for key in found}
            self._tables.note(known.keys())
        for key in self._tables.others():
            suspects[key], findings[key] = Wanted(), []
        self._settle(report, suspects, findings, show)
        report.differences.sort(key=lambda each: each[:4])
        return report

    def _settle(
        self, report: Report, suspects: dict[bytes, Wanted], findings: dict[bytes, list[Difference]], show: Show
    ) -> None:
        """Look at *suspects* until each is right, or found the same twice."""
        for _ in range(LOOKS):
            if not suspects:
                return
            self._pause(PAUSE_SECONDS)
            for number in sorted({partition_of(key, self._partitions) for key in suspects}):
                mine = {key: each for key, each in suspects.items() if partition_of(key, self._partitions) == number}
                self._follow(number, mine, show, only=True)
                found = dict(self._compared(mine))
                for key in mine:
                    if key not in found:
                        del suspects[key]
                    elif found[key] == findings[key]:
                        report.differences += found[key]
                        del suspects[key]
                    else:
                        findings[key] = found[key]
        report.unsettled = len(suspects)

    def _follow(self, number: int, known: dict[bytes, Wanted], show: Show, *, only: bool = False) -> None:
        """Read both topics up to where they end now, and wait until the sink has written all of it."""
        ends = self._reader.ends(number)
        for read in self._reader.read(known, ends, known.keys() if only else None):
            self._done += read
            if not self._done % 500:
                show(self._done, max(self._done, self._total))
        show(self._done, max(self._done, self._total))
        self._await(ends)

    def _await(self, ends: Positions) -> None:
        least, since = self._tables.missing(ends), time.monotonic()
        while left := self._tables.missing(ends):
            if left < least:
                least, since = left, time.monotonic()
            if time.monotonic() - since > PATIENCE_SECONDS:
                raise UnavailableError(
                    f"the sink postgres has {left} records of partition {next(iter(ends))[1]} to write and does not go"
                    " on: see that it runs (`mainstem sinks run postgres`), then verify again"
                )
            self._pause(0.2)

    def _compared(self, known: Mapping[bytes, Wanted]) -> Iterator[tuple[bytes, list[Difference]]]:
        for page in self._tables.look(known):
            for key, found in page.items():
                if told := _told(key, known[key], found):
                    yield key, told


def _told(key: bytes, wanted: Wanted, found: Found) -> list[Difference]:
    return list(differences(*parse_entity_key(key), wanted, found))
