"""The dashboard and the alerts, as a real Prometheus sees a running installation under load."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.monitoring import Prometheus
from tests.acceptance.running import Up
from tests.backstage_module_server import ModuleServer, module_server
from tests.exported import names
from tests.patience import eventually

PANELS = [
    panel
    for panel in json.loads((Path(__file__).parents[2] / "deploy/grafana/dashboards/overview.json").read_text())[
        "panels"
    ]
    if panel["type"] != "row"
]
ANSWERS = {"${datasource}": "", "$role": ".*", "$connector": ".*", "$__rate_interval": "30s", "$__range": "5m"}
# Nothing of these happens in a sound installation, or is only seen while it lasts.
MAY_BE_EMPTY = {"Dead letters, by connector and stage"}
DESCRIPTOR = """\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: pay}
spec: {type: service, lifecycle: production, owner: team-pay}
"""


@pytest.fixture(scope="module")
def backstage() -> Iterator[ModuleServer]:
    with module_server() as server:
        yield server


@pytest.fixture(scope="module")
def up(backstage) -> Iterator[Up]:
    connectors = [
        {"connector_id": "git", "type": "git", "connection": {"path": "catalog"}},
        {"connector_id": "team", "type": "external"},
    ]
    # Of a kind that nobody publishes: what the load publishes is less than Backstage asks for.
    sink = {"enabled": True, "base_url": backstage.url, "shards": 4, "kinds": ["api"], "resync_interval": "5s"}
    found = Up({"connectors": connectors, "sinks": {"backstage": sink}})
    (found.home / "catalog").mkdir()
    (found.home / "catalog/pay.yaml").write_text(DESCRIPTOR)
    try:
        yield found.start()
    finally:
        found.close()


@pytest.fixture(scope="module")
def prometheus(up, tmp_path_factory) -> Iterator[Prometheus]:
    """Yield a Prometheus that has seen changes, an end and requests go by, and nothing bad."""
    found = Prometheus(tmp_path_factory.mktemp("prometheus"), up.facts["api"])
    try:
        found.start()
        eventually(lambda: found.value("count(mainstem_ready == 1)") == 6, 120, found.tail)
        load(up)
        eventually(lambda: found.value('mainstem_catalog_records{connector="team"}') == 9, 120, found.tail)
        eventually(lambda: lag(found) == 0, 120, found.tail)
        yield found
    finally:
        found.close()


def load(up: Up) -> None:
    send = up.sender()
    for number in range(40):
        key = f"component:default/c{number % 10}"
        entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": key[18:]}}
        send("team", {"entity": entity, "service": {"tier": f"tier{number}"}}, key.encode())
    # What is said and withdrawn at once is merged at once, and never was there.
    up.entity(key)
    send("team", {"op": "delete", "entityRef": key}, key.encode())
    up.entity(key, gone=True)
    for path in ("/v1/entities", "/v1/entities/component:default/c1"):
        assert httpx2.get(up.facts["api"] + path, timeout=10).status_code == httpx2.codes.OK


def lag(prometheus: Prometheus) -> float | None:
    return prometheus.value("sum(mainstem:processor_lag) + sum(mainstem:sink_lag)")


def answered(expression: str) -> str:
    for name, answer in ANSWERS.items():
        expression = expression.replace(name, answer)
    return expression


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_expression_of_a_panel_has_data(prometheus, panel):
    expressions = [answered(target["expr"]) for target in panel["targets"]]

    empty = [expression for expression in expressions if not prometheus.query(expression)]

    assert panel["title"] in MAY_BE_EMPTY or empty == []


def test_every_metric_that_is_declared_is_scraped(prometheus):
    assert names() - prometheus.metrics() == set()


def test_the_load_is_accounted_for_and_seen_from_end_to_end(prometheus):
    assert {each["value"][1] for each in prometheus.query("mainstem:processor_unaccounted")} == {"0"}
    assert prometheus.value('sum(mainstem_processor_outcomes_total{topic="mainstem.changes.team"})') == 41
    assert prometheus.value('mainstem_processor_ended_total{connector="team",reason="deleted"}') == 1
    assert prometheus.value("sum(mainstem_processor_delay_seconds_count)") > 0
    assert prometheus.value('mainstem_sink_delay_seconds_count{sink="postgres"}') > 0


def test_no_alert_is_raised_by_a_sound_installation(prometheus):
    assert prometheus.alerts() == []


def test_a_dead_letter_raises_its_alert_and_names_the_connector(up, prometheus):
    up.sender()("team", b"\xff", b"x")

    raised = eventually(lambda: prometheus.alert("MainstemDeadLetters"), 60, prometheus.tail)

    assert (raised["state"], raised["labels"]["connector"]) == ("firing", "team")
    summary = raised["annotations"]["summary"]
    assert (summary.startswith("Changes of team that were set aside"), summary.endswith(": 1")) == (True, True)


def test_a_role_that_hangs_is_missed(up, prometheus):
    worker = up.child("processor", "run")
    worker.suspend()
    try:
        # Beside it, on a machine that is busy, another role may miss a scrape.
        raised = eventually(lambda: prometheus.alert("MainstemRoleMissing", role="processor-0"), 60, prometheus.tail)
    finally:
        worker.resume()

    assert raised["state"] == "pending"
    assert raised["annotations"]["summary"].startswith("The role processor-0")
