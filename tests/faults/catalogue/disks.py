"""Disks without room for another byte."""

import random
import resource
import time
from dataclasses import dataclass
from typing import ClassVar, Self

from tests.faults.fault import Fault
from tests.faults.stage import Stage

BACK_SECONDS = 60.0
WORKERS = ("processor-0", "processor-1")


@dataclass(frozen=True)
class WorkerDiskFull(Fault):
    """Nothing more can be written to a worker's files."""

    name: ClassVar[str] = "worker-disk-full"
    role: str

    @property
    def target(self) -> str:
        return self.role

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.choice(WORKERS))

    def strike(self, stage: Stage) -> str:
        role = stage.role(self.role)
        pid = role.pid
        assert pid is not None, f"{role.name} does not run"
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (16_384, resource.RLIM_INFINITY))
        stage.eventually(lambda: role.pid not in (None, pid), BACK_SECONDS)
        return f"{role.name} {pid} could write no more: {role.endings[-1]}"


@dataclass(frozen=True)
class ServiceDiskFull(Fault):
    """The disk of Kafka or of Postgres is full for some seconds; the service is started again if it ended of it."""

    name: ClassVar[str] = "service-disk-full"
    service: str
    seconds: float

    @property
    def target(self) -> str:
        return "broker" if self.service == "kafka" else "postgres"

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.choice(("kafka", "postgres")), round(rng.uniform(2, 8), 1))

    def strike(self, stage: Stage) -> str:
        disk = stage.disks[self.service]
        if not disk.is_mounted:
            return f"LEFT OUT: only root can give {self.service} a small disk"
        service = stage.kafka if self.service == "kafka" else stage.postgres
        size = disk.fill()
        time.sleep(self.seconds)
        disk.clear()
        has_ended = not service.running
        time.sleep(1.0)
        service.start()
        return f"{self.service} had no room for {self.seconds} s, {size} bytes taken; it ended of it: {has_ended}"
