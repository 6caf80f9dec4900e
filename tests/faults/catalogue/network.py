"""Bad networks between one role and Kafka, or between the sink and Postgres."""

import random
import time
from dataclasses import dataclass
from typing import ClassVar, Self

from tests.faults.fault import Fault
from tests.faults.proxy import DOWN, UP, Proxy
from tests.faults.stage import Stage

WAYS = ("processor-0", "processor-1", "sink-postgres", "sink-incidents", "postgres")


def _proxy(stage: Stage, way: str) -> Proxy:
    return stage.to_postgres if way == "postgres" else stage.to_kafka[stage.role(way).name]


def _mended(stage: Stage, proxy: Proxy, before: int) -> None:
    """Wait until something passes again."""
    stage.eventually(lambda: proxy.carried > before, 60)


@dataclass(frozen=True)
class Slow(Fault):
    """Every piece is late, and few bytes pass in a second."""

    name: ClassVar[str] = "slow-network"
    way: str
    latency: float
    bandwidth: int
    seconds: float

    @property
    def target(self) -> str:
        return self.way

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        latency, bandwidth = rng.choice(((0.05, 100_000), (0.3, 0), (0.0, 20_000), (1.0, 200_000)))
        return cls(rng.choice(WAYS), latency, bandwidth, round(rng.uniform(5, 12), 1))

    def strike(self, stage: Stage) -> str:
        proxy = _proxy(stage, self.way)
        before = proxy.carried
        proxy.latency, proxy.bandwidth = self.latency, self.bandwidth
        time.sleep(self.seconds)
        proxy.latency = proxy.bandwidth = 0.0
        _mended(stage, proxy, before)
        return f"{proxy.carried - before} bytes passed slowly"


@dataclass(frozen=True)
class Resets(Fault):
    """All connections are reset, again and again."""

    name: ClassVar[str] = "resets"
    way: str
    times: int

    @property
    def target(self) -> str:
        return self.way

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.choice(WAYS), rng.randint(1, 8))

    def strike(self, stage: Stage) -> str:
        proxy = _proxy(stage, self.way)
        count = stage.eventually(proxy.reset, 60)
        for _ in range(self.times - 1):
            time.sleep(0.7)
            count += proxy.reset()
        _mended(stage, proxy, proxy.carried)
        return f"{count} connections were reset"


@dataclass(frozen=True)
class Refused(Fault):
    """Nobody can connect for some seconds."""

    name: ClassVar[str] = "refused-connects"
    way: str
    seconds: float

    @property
    def target(self) -> str:
        return self.way

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.choice(WAYS), round(rng.uniform(2, 14), 1))

    def strike(self, stage: Stage) -> str:
        proxy = _proxy(stage, self.way)
        count = proxy.refuse()
        time.sleep(self.seconds)
        proxy.admit()
        _mended(stage, proxy, proxy.carried)
        return f"{count} connections were reset, and none was made for {self.seconds} s"


@dataclass(frozen=True)
class Cut(Fault):
    """Nothing passes in one direction or in both; afterwards it is delivered late, or lost with its connections."""

    name: ClassVar[str] = "cut"
    way: str
    held: str
    seconds: float
    is_lost: bool

    @property
    def target(self) -> str:
        return self.way

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        held = rng.choice((UP, DOWN, "both"))
        return cls(rng.choice(WAYS), held, round(rng.uniform(3, 16), 1), is_lost=rng.random() < 0.4)

    def strike(self, stage: Stage) -> str:
        proxy = _proxy(stage, self.way)
        proxy.held = frozenset((UP, DOWN) if self.held == "both" else (self.held,))
        time.sleep(self.seconds)
        count = proxy.reset() if self.is_lost else 0
        before, proxy.held = proxy.carried, frozenset()
        _mended(stage, proxy, before)
        return f"{self.held} was cut for {self.seconds} s, {count} connections were lost"


@dataclass(frozen=True)
class HalfOpen(Fault):
    """The servers' ends of all connections die and the clients do not hear of it for some seconds."""

    name: ClassVar[str] = "half-open"
    way: str
    seconds: float

    @property
    def target(self) -> str:
        return self.way

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.choice(WAYS), round(rng.uniform(3, 15), 1))

    def strike(self, stage: Stage) -> str:
        proxy = _proxy(stage, self.way)
        count = stage.eventually(proxy.forget, 60)
        time.sleep(self.seconds)
        proxy.reset()
        _mended(stage, proxy, proxy.carried)
        return f"{count} connections were half open for {self.seconds} s"
