"""Workers that join and leave, and workers whose clocks are wrong."""

import random
import signal
import time
from dataclasses import dataclass
from typing import ClassVar, Self

from tests.faults.fault import Fault
from tests.faults.stage import GUESTS, Stage

BACK_SECONDS = 60.0
WORKERS = ("processor-0", "processor-1")
DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Storm(Fault):
    """Workers join and leave, politely or killed, before the group has settled."""

    name: ClassVar[str] = "rebalance-storm"
    lives: tuple[tuple[float, bool], ...]
    """Seconds that each lives once it has begun, and whether it is killed then."""

    @property
    def target(self) -> str:
        return "processor"

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(tuple((round(rng.uniform(0.3, 5), 1), rng.random() < 0.5) for _ in range(rng.randint(2, 4))))

    def strike(self, stage: Stage) -> str:
        guests = [stage.guest(name) for name in GUESTS]
        for number, (seconds, is_killed) in enumerate(self.lives):
            guest = guests[number % len(guests)]
            guest.start()
            stage.eventually(guest.monitor, BACK_SECONDS)
            time.sleep(seconds)
            guest.end(signal.SIGKILL if is_killed else signal.SIGTERM)
        return f"{len(self.lives)} workers came and went"


@dataclass(frozen=True)
class WrongClock(Fault):
    """A worker's machine believes that it is yesterday, tomorrow, or most of an hour later."""

    name: ClassVar[str] = "wrong-clock"
    role: str
    away: int
    seconds: float

    @property
    def target(self) -> str:
        return self.role

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.choice(WORKERS), rng.choice((-DAY, DAY, 3000)), round(rng.uniform(8, 12), 1))

    def strike(self, stage: Stage) -> str:
        role = stage.role(self.role)
        right = role.environment
        role.environment = {**right, "MAINSTEM_TEST_CLOCK": str(self.away)}
        ended = len(role.endings)
        role.end(signal.SIGTERM)
        role.start()
        stage.eventually(lambda: role.is_ready() or len(role.endings) > ended, BACK_SECONDS)
        time.sleep(self.seconds)
        role.environment = right
        role.end(signal.SIGTERM)
        role.start()
        return f"{role.name} was {self.away} s away, and ended {len(role.endings) - ended} times of it"
