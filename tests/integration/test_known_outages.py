"""Whose source is away does not grow old: the API knows what the processor heard of it."""

import time

import orjson
import pytest

from mainstem.api.shapes import moment
from schemas.topics import OUTAGES_KEY
from streams.policy import DAY, ConnectorPolicy, Policy
from tests.integration.deliveries import TOPICS, catalogue, delivery, hold_each, opened, part, rows
from tests.integration.test_api import serving

PAY = "component:default/pay"
POLICY = Policy(connectors={"git": ConnectorPolicy(ttl=600), "oncall": ConnectorPolicy(ttl=600, priority=80)})
OBSERVED = int(time.time() * 1000) - 1_200_000
AWAY = OBSERVED + 10_000


def outages(version, **words):
    return delivery(TOPICS.changelog, OUTAGES_KEY.decode(), orjson.dumps({"version": version, "words": words}))


@pytest.fixture(scope="module")
def dsn(postgres):
    said = hold_each(PAY, 1, at=OBSERVED, git=part("pay", {"tier": "tier2"}), oncall=part("pay", {"tier": "tier1"}))
    with catalogue(postgres, [said, outages(2, git=[[AWAY, "outage"]]), outages(1, oncall=[[AWAY, "outage"]])]) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def api(dsn):
    with serving(dsn=dsn, policy=POLICY) as client:
        yield client


def test_a_record_whose_source_is_away_lives_on_and_the_others_do_not(api):
    found = api.get(f"/v1/entities/{PAY}/records").json()["items"]
    assert {each["connector"]: each["state"] for each in found} == {"git": "fresh", "oncall": "dead"}
    ends = {"git": moment(OBSERVED + (600 + DAY) * 1000), "oncall": moment(OBSERVED + 600_000)}
    assert {each["connector"]: each["expires_at"] for each in found} == ends


def test_what_it_says_is_explained_and_simulated_as_it_is_merged(api):
    tier = api.get(f"/v1/entities/{PAY}/explain", params={"field": "/service/tier"}).json()["fields"]["/service/tier"]
    answer = api.post("/v1/simulate", json={"without": ["git"]}).json()
    assert (tier["value"], tier["winners"], tier["freshness"]["state"]) == ("tier2", ["git"], "fresh")
    assert (answer["changed"], answer["removed"]) == (0, 1)


def test_of_what_a_partition_heard_the_latest_version_is_kept(dsn):
    sink = opened(dsn)
    sink.write([outages(1)], {})
    sink.close()
    assert rows(dsn, "SELECT version, words FROM outages") == [(2, {"git": [[AWAY, "outage"]]})]
