"""An operator verifies, damages, rebuilds and verifies again, while everything runs and changes come in."""

import json
import threading

import psycopg

from tests.patience import eventually

REFS = [f"component:default/verified-{number}" for number in range(40)]


def change(number, owner):
    spec = {"type": "service", "lifecycle": "production", "owner": owner}
    metadata = {"name": f"verified-{number}"}
    return {"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec}}


def verified(installation):
    ended = installation.run("verify", "--json")
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def test_what_runs_can_be_verified_and_rebuilt(installation):
    send, stop = installation.sender(), threading.Event()
    for number, ref in enumerate(REFS):
        send("catalog-0", change(number, "team-a"), ref.encode())
    eventually(lambda: REFS[-1] in installation.entities())

    def keep_publishing():
        for step in range(100_000):
            if stop.is_set():
                return
            send("catalog-0", change(step % 10, f"team-{step}"), REFS[step % 10].encode())
            stop.wait(0.2)

    publisher = threading.Thread(target=keep_publishing)
    publisher.start()
    try:
        code, report = verified(installation)
        assert (code, report["differences"]) == (0, [])
        assert report["entities"] >= len(REFS)
        with psycopg.connect(installation.facts["postgres"]) as connection:
            connection.execute("UPDATE entities SET service = '{\"tier\": 1}' WHERE entity_ref = %s", [REFS[-1]])
            connection.execute("DELETE FROM entities WHERE entity_ref = %s", [REFS[-2]])
        code, report = verified(installation)
        assert (code, {each["entityRef"] for each in report["differences"]}) == (1, {REFS[-1], REFS[-2]})
        rebuilt = installation.run("sinks", "rebuild", "postgres", "--yes", "--json")
        assert (rebuilt.returncode, json.loads(rebuilt.stdout)["sink"]) == (0, "postgres"), rebuilt.stderr
    finally:
        stop.set()
        publisher.join()
    code, report = verified(installation)
    assert (code, report["count"], report["unsettled"]) == (0, 0, 0)
