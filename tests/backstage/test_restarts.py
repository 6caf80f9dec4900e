"""What becomes of the shards when Backstage ends, as it likes or not, and when its databases are lost."""

from tests.acceptance.running import eventually
from tests.backstage.backstage import Backstage
from tests.backstage.entities import component, ref


def fill(backstage: Backstage, *names: str) -> None:
    body = {"entities": [component(name) for name in names], "hash": "abc"}
    backstage.request("PUT", "/shards/3", json=body).raise_for_status()


def shows(backstage: Backstage, *names: str) -> bool:
    return {ref(name) for name in names} <= backstage.entities().keys()


def test_a_restart_keeps_the_entities_and_is_seen_in_the_status(backstage):
    fill(backstage, "pay", "ledger")
    eventually(lambda: shows(backstage, "pay", "ledger"), said=backstage.tail)
    before = backstage.request("GET", "/status").json()
    backstage.restart()
    after = backstage.request("GET", "/status").json()

    assert shows(backstage, "pay", "ledger")
    assert before["instance"] != after["instance"]
    assert (before["shards"][3]["hash"], after["shards"][3]["hash"]) == ("abc", None)
    assert (before["shards"][3]["entities"], after["shards"][3]["entities"]) == (2, 2)


def test_what_was_answered_outlives_a_kill(backstage):
    fill(backstage, "pay", "till")
    backstage.kill()
    backstage.start()

    assert eventually(lambda: shows(backstage, "pay", "till"), said=backstage.tail)


def test_a_lost_database_is_seen_in_the_status_and_filled_again(backstage):
    fill(backstage, "pay")
    backstage.empty_database()
    lost = backstage.request("GET", "/status").json()["shards"][3]
    fill(backstage, "pay")

    assert (lost["hash"], lost["entities"], lost["applied_at"]) == (None, 0, None)
    assert eventually(lambda: shows(backstage, "pay"), said=backstage.tail)
