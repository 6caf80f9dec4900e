"""Every alert fires when it should and only then, as promtool evaluates it; every metric that is named is ours."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.exported import names
from tests.prometheus import tool

ROOT = Path(__file__).parents[3]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
GROUPS = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RECORDED = {rule["record"]: rule for group in GROUPS for rule in group["rules"] if "record" in rule}

PARTITION = 'job="mainstem",instance="i",role="processor-0",topic="m.changes.git",partition="0"'
ROLE = 'job="mainstem",instance="i",role="processor-0"'
CONNECTOR = 'job="mainstem",instance="i",role="processor-0",connector="git"'
RUNNING = 'job="mainstem",instance="i",role="connectors",connector="git"'
SINK = 'job="mainstem",instance="i",role="sink-postgres",sink="postgres"'
TOPIC = f'{SINK},topic="m.entities"'
FED = 'job="mainstem",instance="i",role="sink-backstage"'
API = 'job="mainstem",instance="i",role="api",method="GET",route="/v1/entities"'
STARTED = 'process_start_time_seconds{job="mainstem",instance="i",role="connectors"}'

# Of each alert: the series of a sound installation, then those of one that is not. One sample a minute, two hours.
CASES = {
    "MainstemRecordsUnaccounted": (
        {
            f"mainstem_processor_records_total{{{PARTITION}}}": "0+10x120",
            f'mainstem_processor_outcomes_total{{{PARTITION},outcome="merged"}}': "0+9x120",
            f'mainstem_processor_outcomes_total{{{PARTITION},outcome="control"}}': "0+1x120",
        },
        {
            f"mainstem_processor_records_total{{{PARTITION}}}": "0+10x120",
            f'mainstem_processor_outcomes_total{{{PARTITION},outcome="merged"}}': "0+10x60 600 610+10x60",
        },
    ),
    "MainstemLagGrows": (
        {f"mainstem_processor_lag{{{PARTITION}}}": "9000-50x120"},
        {f"mainstem_processor_lag{{{PARTITION}}}": "0+50x120"},
    ),
    "MainstemPartitionStuck": (
        {
            f"mainstem_processor_lag{{{PARTITION}}}": "5x120",
            f"mainstem_processor_records_total{{{PARTITION}}}": "0+1x120",
        },
        {
            f"mainstem_processor_lag{{{PARTITION}}}": "0x100 5x20",
            f"mainstem_processor_records_total{{{PARTITION}}}": "0+1x100 100x20",
        },
    ),
    "MainstemRecoveryStuck": (
        {
            f"mainstem_processor_recovery_remaining{{{ROLE}}}": "9000-50x120",
            f"mainstem_processor_recovered_total{{{ROLE}}}": "0+50x120",
        },
        {
            f"mainstem_processor_recovery_remaining{{{ROLE}}}": "9000x120",
            f"mainstem_processor_recovered_total{{{ROLE}}}": "50x120",
        },
    ),
    "MainstemRecordsExpiredUnread": (
        {f"mainstem_processor_expired_unread_total{{{PARTITION}}}": "0x20 5x100"},
        {f"mainstem_processor_expired_unread_total{{{PARTITION}}}": "_x110 5x10"},
    ),
    "MainstemRecordQuarantined": (
        {f"mainstem_processor_quarantined_total{{{PARTITION}}}": "0x20 1x100"},
        {f"mainstem_processor_quarantined_total{{{PARTITION}}}": "_x110 1x10"},
    ),
    "MainstemRolloutStuck": (
        {f"mainstem_processor_rollout_remaining{{{ROLE}}}": "12x70 11x20 9x15 1x15"},
        {f"mainstem_processor_rollout_remaining{{{ROLE}}}": "0x20 12x100"},
    ),
    "MainstemDeadLetters": (
        {f'mainstem_processor_dead_letters_total{{{CONNECTOR},stage="decode"}}': "0x20 5x100"},
        {f'mainstem_processor_dead_letters_total{{{CONNECTOR},stage="decode"}}': "0x115 5x5"},
    ),
    "MainstemSinkDeadLetters": (
        {f"mainstem_sink_dead_letters_total{{{TOPIC}}}": "0x20 1x100"},
        {f"mainstem_sink_dead_letters_total{{{TOPIC}}}": "_x115 1x5"},
    ),
    "MainstemMassRemoval": (
        {
            f'mainstem_processor_ended_total{{{CONNECTOR},reason="deleted"}}': "0x110 60x10",
            f"mainstem_catalog_records{{{CONNECTOR}}}": "1000x110 940x10",
        },
        {
            f'mainstem_processor_ended_total{{{CONNECTOR},reason="expired"}}': "0x110 60x10",
            f"mainstem_catalog_records{{{CONNECTOR}}}": "500x110 440x10",
        },
    ),
    "MainstemOutage": (
        {f"mainstem_processor_outage{{{CONNECTOR}}}": "0x80 1x40"},
        {f"mainstem_processor_outage{{{CONNECTOR}}}": "0x20 1x100"},
    ),
    "MainstemSinkLagGrows": (
        {f'mainstem_sink_lag{{{TOPIC},partition="0"}}': "9000-50x120"},
        {f'mainstem_sink_lag{{{TOPIC},partition="0"}}': "0+50x120"},
    ),
    "MainstemSinkStuck": (
        {
            f'mainstem_sink_lag{{{TOPIC},partition="0"}}': "7x120",
            f"mainstem_sink_last_progress_seconds{{{SINK}}}": "0+60x120",
        },
        {
            f'mainstem_sink_lag{{{TOPIC},partition="0"}}': "0x100 7x20",
            f"mainstem_sink_last_progress_seconds{{{SINK}}}": "0+60x100 6000x20",
        },
    ),
    "MainstemSinkRetries": (
        {f"mainstem_sink_retries_total{{{SINK}}}": "0x90 3x30"},
        {f"mainstem_sink_retries_total{{{SINK}}}": "0x90 0+1x30"},
    ),
    "MainstemBackstageAway": (
        {f"mainstem_backstage_circuit_open{{{FED}}}": "0x105 1x9 0x6"},
        {f"mainstem_backstage_circuit_open{{{FED}}}": "0x105 1x15"},
    ),
    "MainstemBackstageNotCompared": (
        {
            f"mainstem_backstage_last_resync_seconds{{{FED}}}": "0x80 4800x40",
            f"mainstem_backstage_resync_interval_seconds{{{FED}}}": "1800x120",
            f"process_start_time_seconds{{{FED}}}": "60x120",
        },
        {
            f"mainstem_backstage_last_resync_seconds{{{FED}}}": "0x120",
            f"mainstem_backstage_resync_interval_seconds{{{FED}}}": "1800x120",
            f"process_start_time_seconds{{{FED}}}": "60x120",
        },
    ),
    "MainstemBackstageConflicts": (
        {f'mainstem_backstage_entities{{{FED},state="conflict"}}': "0x70 3x50"},
        {f'mainstem_backstage_entities{{{FED},state="conflict"}}': "0x50 3x70"},
    ),
    "MainstemBackstageRefused": (
        {f'mainstem_backstage_entities{{{FED},state="refused"}}': "0x70 3x50"},
        {f'mainstem_backstage_entities{{{FED},state="refused"}}': "0x50 3x70"},
    ),
    "MainstemConnectorFails": (
        {f"mainstem_connector_failures{{{RUNNING}}}": "0x50 1x20 2x20 0x30"},
        {f"mainstem_connector_failures{{{RUNNING}}}": "0x100 3x20"},
    ),
    "MainstemDeletionsHeld": (
        {f"mainstem_connector_held_deletions{{{RUNNING}}}": "0x120"},
        {f"mainstem_connector_held_deletions{{{RUNNING}}}": "0x100 21x20"},
    ),
    "MainstemConnectorOverdue": (
        {
            f"mainstem_connector_last_success_seconds{{{RUNNING}}}": "0x60 3600x60",
            f"mainstem_connector_interval_seconds{{{RUNNING}}}": "1800x120",
            STARTED: "60x120",
        },
        {
            f"mainstem_connector_last_success_seconds{{{RUNNING}}}": "0x120",
            f"mainstem_connector_interval_seconds{{{RUNNING}}}": "1800x120",
            STARTED: "60x120",
        },
    ),
    "MainstemTargetDown": (
        {'up{job="mainstem",instance="i"}': "1x120"},
        {'up{job="mainstem",instance="i"}': "1x100 0x20"},
    ),
    "MainstemRoleMissing": (
        {f"mainstem_ready{{{ROLE}}}": "1x60 _x3 1x60"},
        {f"mainstem_ready{{{ROLE}}}": "1x100 _x20"},
    ),
    "MainstemRoleNotReady": (
        {f"mainstem_ready{{{ROLE}}}": "1x116 0x4"},
        {f"mainstem_ready{{{ROLE}}}": "1x110 0x10"},
    ),
    "MainstemRoleRestarts": (
        {f"process_start_time_seconds{{{ROLE}}}": "0x100 1x10 2x10"},
        {f"process_start_time_seconds{{{ROLE}}}": "0x108 1x2 2x2 3x2 4x2 5x4"},
    ),
    "MainstemApiErrors": (
        {
            f'mainstem_api_requests_total{{{API},status="200"}}': "0+100x120",
            f'mainstem_api_requests_total{{{API},status="500"}}': "0+1x120",
        },
        {
            f'mainstem_api_requests_total{{{API},status="200"}}': "0+100x120",
            f'mainstem_api_requests_total{{{API},status="503"}}': "0x100 0+10x20",
        },
    ),
    "MainstemApiPoolExhausted": (
        {'mainstem_api_pool_waiting{job="mainstem",instance="i",role="api"}': "0x110 3x2 0x8"},
        {'mainstem_api_pool_waiting{job="mainstem",instance="i",role="api"}': "0x110 3x10"},
    ),
}


def check(series, expected, directory):
    """Have promtool say whether after two hours of *series* exactly the alerts *expected* fire."""
    document = {
        "rule_files": [str(file) for file in RULES],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "2h",
                        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected],
                    }
                ],
            }
        ],
    }
    file = directory / "case.yml"
    file.write_text(json.dumps(document))
    found = subprocess.run([tool("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_is_silent_while_all_is_well(alert, tmp_path):
    check(CASES[alert][0], [], tmp_path)


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_alone_when_it_should(alert, tmp_path):
    check(CASES[alert][1], [alert], tmp_path)


def test_many_ends_are_told_even_where_nobody_knows_how_many_there_were(tmp_path):
    ended = f'mainstem_processor_ended_total{{{CONNECTOR},reason="deleted"}}'
    check({ended: "_x115 21x5"}, ["MainstemMassRemoval"], tmp_path)
    check({ended: "_x115 20x5"}, [], tmp_path)


def test_every_alert_has_its_cases():
    assert set(ALERTS) == set(CASES)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_what_happened_what_to_do_and_how_bad_it_is(alert):
    rule = ALERTS[alert]
    explained = re.findall(r"^## (\w+)$", (ROOT / "docs/how-to/alerts.md").read_text(), re.MULTILINE)
    assert set(rule["annotations"]) == {"summary", "description"}
    assert rule["labels"]["severity"] in {"page", "warning"}
    assert alert in explained


@pytest.mark.parametrize("alert", ALERTS)
def test_a_number_that_may_be_one_stands_before_no_word_for_many(alert):
    followers = re.findall(r"\{\{ \$value \}\} (\w+)", ALERTS[alert]["annotations"]["summary"])
    assert followers in ([], ["runs"], ["times"])  # of these two, three and four are the fewest


@pytest.mark.parametrize("rule", [*ALERTS.values(), *RECORDED.values()], ids=lambda rule: rule.get("alert"))
def test_every_rule_names_what_is_exported_or_recorded(rule):
    named = set(re.findall(r"mainstem[_:][\w:]+", rule["expr"]))
    assert named - names() - set(RECORDED) == set()


@pytest.mark.parametrize("file", ["prometheus.yml", "prometheus-up.yml"])
def test_prometheus_takes_the_scrape_configuration(file):
    path = ROOT / "deploy/prometheus" / file
    found = subprocess.run(
        [tool("promtool"), "check", "config", str(path)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
