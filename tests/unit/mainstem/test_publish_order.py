"""How `mainstem publish` dates what it sends: of one entity the last document wins."""

from itertools import chain, repeat

from mainstem.commands.publish import Placed, in_succession
from schemas.changes import Origin, read_change
from schemas.codec import decode_change
from sources.publisher import draft

NOW = 1_800_000_000_000


def _placed(line, *, name="pay", **fields):
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name}}
    change = {"entity": {**entity, "spec": {"owner": f"team-{line}"}}, **fields}
    return Placed(place=f"a.yaml:{line}", draft=draft(change, "team-pay"))


def _times(changes, clock):
    return [each.draft.timestamp for each in in_succession(changes, clock_ms=clock)]


def _versions(changes):
    found = []
    for each in in_succession(changes, clock_ms=lambda: NOW):
        origin = Origin(
            connector="team-pay", tenant="default", is_complete=False, timestamp=each.draft.timestamp, id="team-pay/0/0"
        )
        found.append(read_change(decode_change(each.draft.value), origin).record.version)
    return found


def test_of_one_entity_each_change_is_dated_after_the_one_before():
    changes = [_placed(1), _placed(2, name="other"), _placed(3), _placed(4, name="Pay"), _placed(5)]
    assert _times(changes, lambda: NOW) == [NOW, NOW, NOW + 1, NOW + 2, NOW + 3]


def test_a_clock_that_goes_on_is_followed_and_one_that_goes_back_is_not():
    clock = chain([NOW, NOW + 50, NOW - 900], repeat(NOW + 40))
    assert _times([_placed(line) for line in range(4)], lambda: next(clock)) == [NOW, NOW + 50, NOW + 51, NOW + 52]


def test_what_the_publisher_says_of_order_counts():
    assert _versions([_placed(1, version=7), _placed(2, version=3)]) == [7, 3]
    assert _versions([_placed(1, observedAt=NOW - 5), _placed(2, observedAt=NOW - 9)]) == [NOW - 5, NOW - 9]
    assert _versions([_placed(1), _placed(2)]) == [NOW, NOW + 1]
