"""The broker goes, comes back, stands still, refuses."""

import os
import random
import signal
import time
from dataclasses import dataclass
from typing import ClassVar, Self

from confluent_kafka.admin import AdminClient

from tests.faults.fault import Fault
from tests.faults.stage import SINKS, Stage
from tests.topics import configure


@dataclass(frozen=True)
class BrokerGone(Fault):
    """The broker is told to end, or killed, and comes back after some seconds."""

    name: ClassVar[str] = "broker-gone"
    is_killed: bool
    seconds: float

    @property
    def target(self) -> str:
        return "broker"

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.random() < 0.6, round(rng.uniform(0, 8), 1))

    def strike(self, stage: Stage) -> str:
        pid = stage.kafka.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL if self.is_killed else signal.SIGTERM)
        stage.eventually(lambda: not stage.kafka.running, 40)
        time.sleep(self.seconds)
        stage.kafka.start()
        return f"broker {pid} ended, {stage.kafka.pid} took its place"


@dataclass(frozen=True)
class BrokerStill(Fault):
    """The broker stands still: its sockets are open and nothing answers."""

    name: ClassVar[str] = "broker-still"
    seconds: float

    @property
    def target(self) -> str:
        return "broker"

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(round(rng.uniform(2, 14), 1))

    def strike(self, stage: Stage) -> str:
        pid = stage.kafka.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.seconds)
        os.kill(pid, signal.SIGCONT)
        return f"broker {pid} stood still for {self.seconds} s"


@dataclass(frozen=True)
class NoBrokers(Fault):
    """The broker tells one sink that there are no brokers, as it does after it stood still for too long."""

    name: ClassVar[str] = "no-brokers"
    way: str
    seconds: float

    @property
    def target(self) -> str:
        return self.way

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.choice(SINKS), round(rng.uniform(1, 20), 1))

    def strike(self, stage: Stage) -> str:
        brokers = stage.brokers[self.way]
        before, brokers.are_hidden = brokers.hidden, True
        try:
            time.sleep(self.seconds)
            stage.eventually(lambda: brokers.hidden > before, 60)
        finally:
            brokers.are_hidden = False
        return f"{brokers.hidden - before} answers named no broker"


@dataclass(frozen=True)
class ProduceRefused(Fault):
    """A topic takes only tiny records for some seconds: what is produced is refused as too large."""

    name: ClassVar[str] = "produce-refused"
    topic: str
    seconds: float

    @property
    def target(self) -> str:
        return "broker"

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        topics = ("entities", "changelog", "service_updated", "dead_letters")
        return cls(rng.choice(topics), round(rng.uniform(1, 6), 1))

    def strike(self, stage: Stage) -> str:
        topic = getattr(stage.topics, self.topic)
        self._allow(stage, topic, 120)
        time.sleep(self.seconds)
        self._allow(stage, topic, 8 * 1024 * 1024)
        return f"{topic} refused records of more than 120 bytes for {self.seconds} s"

    @staticmethod
    def _allow(stage: Stage, topic: str, size: int) -> None:
        admin = AdminClient({"bootstrap.servers": stage.facts["kafka"], "log_level": 0})
        configure(admin, topic, "max.message.bytes", size)
