"""The row of the connectors, and of what became of their changes."""

from typing import Final

from deploy.grafana.shown import CONNECTOR, RATE, Shown, rate

CONNECTORS: Final = (
    Shown(
        title="Since the last complete run, and how long it took",
        about="Of connectors that run here, whichever process ran them.",
        queries=[
            ("{{connector}}", f"time() - max by (connector) (mainstem:connector_last_success_seconds{{{CONNECTOR}}})"),
            ("{{connector}} took", f"max by (connector) (mainstem_connector_run_seconds{{{CONNECTOR}}})"),
        ],
        units="s",
    ),
    Shown(
        title="Runs",
        about="A failed run deletes nothing and is repeated after a growing pause.",
        queries=[
            (
                "{{connector}} {{outcome}}",
                f"sum by (connector, outcome) (increase(mainstem_connector_runs_total{{{CONNECTOR}}}{RATE}))",
            )
        ],
        kind="bars",
    ),
    Shown(
        title="Changes published, and what else became of documents",
        about="By the connectors that run here.",
        queries=[
            ("{{connector}} published", rate("mainstem_connector_changes_total", "connector", CONNECTOR)),
            ("{{connector}} refused", rate("mainstem_connector_refused_total", "connector", CONNECTOR)),
            ("{{connector}} unchanged", rate("mainstem_connector_unchanged_total", "connector", CONNECTOR)),
            ("{{connector}} deleted", rate("mainstem_connector_deleted_total", "connector", CONNECTOR)),
        ],
        units="cps",
    ),
    Shown(
        title="Dead letters, by connector and stage",
        about="Changes that the processor set aside: the headers of each say why.",
        queries=[
            (
                "{{connector}} {{stage}}",
                f"sum by (connector, stage) (increase(mainstem_processor_dead_letters_total{{{CONNECTOR}}}{RATE})) > 0",
            ),
            ("sink:{{sink}}", f"sum by (sink) (increase(mainstem_sink_dead_letters_total{RATE})) > 0"),
        ],
        kind="bars",
    ),
    Shown(
        title="Entities that ended",
        about="Deleted by their connector, or expired for want of news. More than a tenth within an hour is an alert.",
        queries=[
            (
                "{{connector}} {{reason}}",
                f"sum by (connector, reason) (increase(mainstem_processor_ended_total{{{CONNECTOR}}}{RATE}))",
            )
        ],
        kind="bars",
    ),
    Shown(
        title="Entities in the catalogue",
        about="In Postgres: those that a connector speaks of, and the merged ones by kind.",
        queries=[
            ("{{connector}}", f"max by (connector) (mainstem_catalog_records{{{CONNECTOR}}})"),
            ("kind {{kind}}", "max by (kind) (mainstem_catalog_entities)"),
        ],
    ),
    Shown(
        title="Entities that a connector holds, and deletes that wait",
        about="By its ledger, after its last complete run. What waits was more than the deletion guard lets pass.",
        queries=[
            ("{{connector}}", f"max by (connector) (mainstem_connector_entities{{{CONNECTOR}}})"),
            ("{{connector}} held", f"max by (connector) (mainstem_connector_held_deletions{{{CONNECTOR}}})"),
        ],
        width=12,
    ),
    Shown(
        title="Failures in a row",
        about="Of three on, the source is taken to be away: what it said last does not grow older.",
        queries=[("{{connector}}", f"max by (connector) (mainstem_connector_failures{{{CONNECTOR}}})")],
        width=12,
    ),
    Shown(
        title="Outages announced",
        about="1 while the source of a connector is away: what it said last is kept and marked as stale.",
        queries=[("{{connector}}", f"max by (connector) (mainstem_processor_outage{{{CONNECTOR}}})")],
        kind="states",
        width=24,
    ),
)
