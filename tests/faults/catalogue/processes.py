"""Roles that die or stand still at a random moment."""

import random
import signal
import time
from dataclasses import dataclass
from typing import ClassVar, Self

from tests.faults.fault import Fault
from tests.faults.stage import Stage

BACK_SECONDS = 60.0
ROLES = ("processor-0", "processor-1", "sink-postgres", "sink-incidents", "api")


@dataclass(frozen=True)
class Kill(Fault):
    """kill -9; whoever keeps the roles starts it again."""

    name: ClassVar[str] = "kill"
    role: str

    @property
    def target(self) -> str:
        return self.role

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.choice(ROLES))

    def strike(self, stage: Stage) -> str:
        role = stage.role(self.role)
        pid = role.send(signal.SIGKILL)
        stage.eventually(lambda: role.pid not in (None, pid), BACK_SECONDS)
        return f"{role.name} {pid} was killed"


@dataclass(frozen=True)
class Stop(Fault):
    """SIGSTOP for longer than the session timeout: others may have its partitions when it wakes."""

    name: ClassVar[str] = "stop"
    role: str
    seconds: float

    @property
    def target(self) -> str:
        return self.role

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.choice(ROLES), round(rng.uniform(11, 15), 1))

    def strike(self, stage: Stage) -> str:
        role = stage.role(self.role)
        pid = role.send(signal.SIGSTOP)
        time.sleep(self.seconds)
        if role.pid == pid:
            role.send(signal.SIGCONT)
        return f"{role.name} {pid} stood still for {self.seconds} s"
