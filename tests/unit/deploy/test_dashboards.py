"""The dashboards are what their generator makes, and show what is exported."""

import json
import re

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.overview import FILE, overview
from tests.exported import names
from tests.unit.deploy.test_alerts import ALERTS, RECORDED

FOUND = json.loads(FILE.read_text())
PANELS = [panel for panel in FOUND["panels"] if panel["type"] != "row"]
OTHERS = {"ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"}
VARIABLES = {"datasource", "role", "connector"}


def test_the_dashboard_is_what_its_generator_makes():
    assert overview() == FILE.read_text(), "stale: `make generated`"


def test_grafanas_own_types_read_it_and_lose_nothing():
    read = Dashboard.from_json(FOUND)

    assert json.loads(JSONEncoder(sort_keys=True, indent=2).encode(read)) == FOUND


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_metric_of_a_panel_is_exported_or_recorded(panel):
    expressions = " ".join(target["expr"] for target in panel["targets"])
    named = set(re.findall(r"\b(?:mainstem|process)[_:][\w:]+|ALERTS", expressions))

    assert named - names() - set(RECORDED) - OTHERS == set()
    assert named


def test_every_metric_is_shown_or_watched():
    texts = " ".join([json.dumps(FOUND), *(rule["expr"] for rule in [*RECORDED.values(), *ALERTS.values()])])
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names()}

    assert {name for name in families if name not in texts} == set()


def test_variables_that_are_used_are_there():
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(FOUND))) - {"__rate_interval", "__range", "__all"}

    assert {each["name"] for each in FOUND["templating"]["list"]} == VARIABLES
    assert used == VARIABLES


def test_panels_lie_side_by_side_and_none_on_another():
    cells = [
        (x, y)
        for panel in FOUND["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in FOUND["panels"]}) == len(FOUND["panels"])


def test_every_panel_says_what_it_shows():
    assert [panel["title"] for panel in PANELS if not panel["description"].endswith(".")] == []
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
