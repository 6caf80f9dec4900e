"""What the sink kit says of a target that keeps single records: which are missing, and which should not be there."""

import pytest

from mainstem.testing.history import History
from mainstem.testing.judge import HeldRecord, RecordJudge
from schemas.topics import Topics

TOPICS = Topics(partitions=2)
HISTORY = History(TOPICS, [TOPICS.entities, TOPICS.changelog], seed=1).deliveries


class Target:
    """Holds what it is told to, and a judge looks at it."""

    def __init__(self):
        self.held = []
        self.judge = RecordJudge(lambda: self.held, TOPICS.changelog)

    def read(self, deliveries=HISTORY):
        self.judge.carried(deliveries)
        return self

    def right(self):
        """Return what is to be held."""
        return [record for _, records in self.judge._carried.values() for record in records]


def test_a_target_that_holds_the_newest_records_is_right():
    target = Target().read()
    target.held = target.right()
    target.judge.look()
    assert len(target.held) > 2


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda held: held[1:], "does not hold them"),
        (lambda held: [*held, HeldRecord(entity_ref="component:default/e", connector="git", version=1)], "forgotten"),
        (lambda held: [*held, held[0]], "twice"),
    ],
)
def test_a_target_that_holds_others_is_told(spoil, sentence):
    target = Target().read()
    target.held = spoil(target.right())
    with pytest.raises(AssertionError, match=sentence):
        target.judge.look()


def test_while_old_states_are_read_again_nothing_is_judged():
    target = Target().read().read(HISTORY[:10])
    target.judge.look()
    target.read()
    with pytest.raises(AssertionError, match="does not hold them"):
        target.judge.look()
