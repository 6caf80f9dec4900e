"""What is explained is what is merged: every claim of a live record won or lost, and for a reason."""

from hypothesis import given

from streams.expiry import Band, band
from streams.explain import explain
from streams.merge import merge
from tests.properties.changes import EPOCH, histories, moments, worlds
from tests.properties.harness import Installation, policy_of
from tests.properties.test_laws import escaped

REASONS = {
    "lower priority", "stale", "tie: connector id", "hidden by null", "says that it is empty", "not authoritative",
    "older", "greater", "less", "ranks lower", "of another type", "adds nothing", "dropped by a rule",
    "comes with /spec/definition alone",
}  # fmt: skip


@given(worlds, histories(), moments)
def test_every_claim_of_a_live_record_won_or_lost_for_a_reason(world, history, now):
    installation, policy = Installation(world, now=EPOCH), policy_of(world)
    installation.say(history)
    for records in installation.held.values():
        entity = merge(records.values(), policy, now=now)
        found = explain(records.values(), policy, now=now)
        assert found.entity == entity
        assert {one.connector for one in found.standings} == set(records)
        if entity is None:
            assert found.leaves == ()
            continue
        won = {leaf.pointer: leaf.winners for leaf in found.leaves if leaf.winners}
        assert won == {at: (of,) if isinstance(of, str) else tuple(of) for at, of in entity.provenance.items()}
        assert {leaf.pointer: leaf.value for leaf in found.leaves if leaf.winners} == entity.values
        told = {
            (leaf.pointer, name)
            for leaf in found.leaves
            for name in (*leaf.winners, *(loser.connector for loser in leaf.losers))
        }
        live = [record for record in records.values() if band(record, policy, now) is not Band.DEAD]
        assert told >= {(at, record.connector) for record in live for at in spoken_of(record.body)}
        assert {loser.reason for leaf in found.leaves for loser in leaf.losers} <= REASONS


def spoken_of(body):
    """Return the pointers of fields and map keys about which one record says something."""
    entity = body["entity"]
    found = {"/apiVersion", "/kind"}
    for section, fields in (*((name, entity.get(name)) for name in ("metadata", "spec")), ("service", body["service"])):
        for name, value in (fields or {}).items():
            at = f"/{section}/{escaped(name)}"
            if section == "metadata" and name in ("annotations", "labels"):
                found |= {f"{at}/{escaped(key)}" for key in value or {}}
            elif value != "":
                found.add(at)
    return found
