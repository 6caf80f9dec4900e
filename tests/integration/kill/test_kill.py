"""Two workers under fire: nothing is lost, repeated into state or undone."""

import time

from tests.integration.kill.scenario import run


def test_stops_kills_and_joins_change_nothing_about_the_result(kafka):
    seed = time.time_ns() % 1_000_000
    print("seed", seed)
    outcome = run(kafka, seed=seed, count=24_000, rate=3_000)
    assert outcome.wrong == []
