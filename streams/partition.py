"""What a merge is given of one partition, and what comes of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol

from streams.outages import Outages
from streams.policy import Policy
from streams.rollout import PolicyRecord, Walk
from streams.table import StateWrite, Stored
from streams.transport import Output, Run

READ_AT_ONCE: Final = 64
"""States of a partition. Each may have megabytes."""


@dataclass(slots=True)
class Written:
    """What a run comes to: records by (topic, partition), and the new state of its keys."""

    outputs: dict[tuple[str, int], list[Output]] = field(default_factory=dict)
    state: list[StateWrite] = field(default_factory=list)

    def take(self, other: "Written") -> None:
        """Let what *other* comes to follow what this does."""
        for at, outputs in other.outputs.items():
            self.outputs.setdefault(at, []).extend(outputs)
        self.state += other.state

    def add(self, topic: str, partition: int, output: Output) -> None:
        self.outputs.setdefault((topic, partition), []).append(output)


class States(Protocol):
    """The table of a partition's states."""

    def stored(self, partition: int, keys: Sequence[bytes]) -> Sequence[Stored | None]:
        """Return the states of *keys*, in their order, as they will be once all that is on its way is written."""


class PartitionState:
    """One partition of the table as a run sees it: states by key, the next version, what is known of outages."""

    def __init__(
        self,
        table: States,
        partition: int,
        version: int,
        *,
        is_doubtful: bool = False,
        outages: Outages | None = None,
    ) -> None:
        self._table = table
        self._policy: tuple[Policy, Policy] | None = None
        self.partition = partition
        self.version = version
        self.first_version = version
        """Lower ones are of earlier owners."""
        self.is_doubtful = is_doubtful
        """Whether the earlier owner ended in the middle: it may have published what it never wrote as state."""
        self.is_replaying = False
        """Whether what the run under way merges may have been published already, and not be held."""
        self.outages = outages or Outages()
        self.policy_record = PolicyRecord()
        self.walk: Walk | None = None
        """The way of a changed policy through the keys, while it is under way."""

    def stored(self, keys: Iterable[bytes]) -> Iterator[tuple[bytes, Stored | None]]:
        """Yield each of *keys* with its state, read some at a time."""
        waiting = iter(keys)
        while asked := list(islice(waiting, READ_AT_ONCE)):
            yield from zip(asked, self._table.stored(self.partition, asked), strict=True)

    def next_version(self) -> int:
        """Return a version greater than all before it in this partition."""
        self.version += 1
        return self.version

    def is_doubted(self, version: int) -> bool:
        """Whether something else than what was written under *version* may have been published since."""
        return self.is_doubtful and version < self.first_version

    def doubt_all(self) -> None:
        """Whatever was written so far may have been overwritten by somebody else."""
        self.is_doubtful, self.first_version = True, self.version + 1
        # The walk that a policy takes through all keys writes them anew.
        self.policy_record, self.walk = replace(self.policy_record, fingerprint=""), None

    @property
    def is_being_rewritten(self) -> bool:
        """Whether keys may still be as a doubtful owner, or somebody else, left them."""
        return self.is_doubtful and not self.policy_record.fingerprint

    def learn(self, outages: Outages) -> None:
        """Reckon with *outages* from now on."""
        self.outages = outages
        self._policy = None

    def policy(self, configured: Policy) -> Policy:
        """Return the policy of this partition: what is configured, with the outages that it knows of."""
        if self._policy is None or self._policy[0] is not configured:
            self._policy = configured, replace(configured, outages=self.outages.intervals)
        return self._policy[1]


class Merging(Protocol):
    """What the engine runs. Pure: it knows no Kafka, and time is an argument (epoch ms)."""

    @property
    def revision(self) -> int:
        """That of the policy: a worker with a lower one than was seen before refuses to start."""

    async def prepare(self, run: Run) -> None:
        """Return once all is at hand that merging *run* needs. Called before :meth:`run`, outside of any lock."""

    def run(self, runs: Sequence[Run], state: PartitionState, now: int) -> Written:
        """Merge the records of *runs*, all of one partition, each of another topic or behind the one before it."""

    def merge_anew(self, keys: Iterable[bytes], state: PartitionState, now: int) -> Written:
        """Merge what is held of *keys*; nothing comes of a key for which nothing changed."""

    def set_aside(self, run: Run, state: PartitionState, attempts: int) -> Written:
        """Give the records of *run* up: merging them ended the process *attempts* times."""

    def fingerprint(self, state: PartitionState) -> str:
        """Return what changes whenever the policy of the partition merges otherwise than before."""
