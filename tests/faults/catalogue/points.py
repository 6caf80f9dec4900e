"""Roles that die, or stand still, at a labelled point: between one write and the next."""

import json
import random
import signal
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from tests.faults.fault import Fault
from tests.faults.roles import Role
from tests.faults.stage import Stage

REACHED_SECONDS = 75.0
"""A sink that was killed gets its partitions back when its session is over."""
POINTS = {
    "processor-0": tuple(
        f"{label}.{when}"
        for label in ("outputs", "state", "epoch", "settle", "commit")
        for when in ("before", "sent", "after")
        if when != "sent" or label in ("outputs", "state", "epoch")
    ),
    "sink-postgres": tuple(
        f"{label}.{when}" for label in ("write", "transaction", "commit") for when in ("before", "after")
    ),
    "sink-incidents": tuple(f"{label}.{when}" for label in ("write", "commit") for when in ("before", "after")),
}


@dataclass(frozen=True)
class Point(Fault):
    """kill -9, or SIGSTOP beyond the session timeout, before or after a write, its answer, a commit, a transaction."""

    name: ClassVar[str] = "point"
    role: str
    label: str
    nth: int
    stands_still: bool
    was_killed: bool
    """Whether its life before ended with kill -9 rather than as an operator ends it."""

    @property
    def target(self) -> str:
        return self.role

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        role = rng.choice((*POINTS, "processor-0"))
        label = rng.choice(POINTS[role])
        nth = 1 if label.startswith("epoch") else rng.randint(1, 12)
        return cls(role, label, nth, stands_still=rng.random() < 0.25, was_killed=rng.random() < 0.4)

    def strike(self, stage: Stage) -> str:
        role = stage.role(self.role)
        seen = stage.home / f"{role.name}.seen"
        number = signal.SIGSTOP if self.stands_still else signal.SIGKILL
        point = {"label": self.label, "nth": self.nth, "signal": number, "seen": str(seen)}
        pid = self._begin(role, point)

        def is_reached() -> bool:
            nonlocal pid
            if seen.exists():
                return True
            if role.pid != pid:  # something else ended it, as a broker that is gone; its next life has no point
                pid = self._begin(role, point)
            return False

        stage.eventually(is_reached, REACHED_SECONDS)
        seen.unlink()
        if self.stands_still:
            time.sleep(12)
            role.send(signal.SIGCONT)
        else:
            stage.eventually(lambda: role.pid not in (None, pid), REACHED_SECONDS)
        return f"{role.name} {pid} came to {self.label} for the {self.nth}. time"

    def _begin(self, role: Role, point: dict[str, Any]) -> int | None:
        role.end(signal.SIGKILL if self.was_killed else signal.SIGTERM)
        role.start(MAINSTEM_TEST_POINT=json.dumps(point))
        return role.pid
