"""What will be done to one installation: all of it drawn from a seed, before anything begins."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.catalogue import brokers, database, disks, group, network, points, processes
from tests.faults.fault import Fault

CATALOGUE: tuple[type[Fault], ...] = (
    processes.Kill,
    processes.Stop,
    points.Point,
    brokers.BrokerGone,
    brokers.BrokerStill,
    brokers.NoBrokers,
    brokers.ProduceRefused,
    network.Slow,
    network.Resets,
    network.Refused,
    network.Cut,
    network.HalfOpen,
    database.BackendsEnded,
    database.PostgresGone,
    database.TableLocked,
    database.ConnectionsExhausted,
    group.Storm,
    group.WrongClock,
    disks.WorkerDiskFull,
    disks.ServiceDiskFull,
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A fault, and the seconds of load before it; *beside*: while the one before may still be under way."""

    rest: float
    fault: Fault
    beside: bool = False

    def __str__(self) -> str:
        return f"{'beside it ' if self.beside else ''}after {self.rest} s {self.fault}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One round. The same seed and the same names give the same plan; moments depend on the machine as well."""

    seed: int
    workers: int
    rate: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"{self.workers} workers, {self.rate} changes/s: {', '.join(map(str, self.steps))}"


def draw_plan(seed: int, only: Sequence[str] = ()) -> Plan:
    """Return the plan of *seed*, of the faults named in *only*, or of all."""
    rng = random.Random(f"plan {seed}")
    kinds = [kind for kind in CATALOGUE if not only or kind.name in only]
    chosen = [kind.draw(rng) for kind in rng.sample(kinds, min(len(kinds), rng.randint(1, 3)))]
    return Plan(
        seed=seed,
        workers=rng.choice((1, 2, 2)),
        rate=rng.choice((60, 120, 200)),
        steps=tuple(
            Step(
                rest=round(rng.uniform(0.5, 3), 1),
                fault=fault,
                beside=rng.random() < 0.4 and _is_apart(fault, chosen[:number]),
            )
            for number, fault in enumerate(chosen)
        ),
    )


def _is_apart(fault: Fault, before: Sequence[Fault]) -> bool:
    """Whether it harms something else; which of the workers, or of the sinks, is no difference."""
    return bool(before) and fault.target.partition("-")[0] not in {each.target.partition("-")[0] for each in before}
