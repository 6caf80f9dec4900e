"""What the overview shows, row by row: the first one alone says whether somebody must act."""

from typing import Final

from deploy.grafana.connector_panels import CONNECTORS
from deploy.grafana.shown import RATE, ROLE, Shown, quantiles, rate

NOW: Final = (
    Shown(
        title="Alerts",
        about="Alerts of Mainstem that fire. What each means: docs/how-to/alerts.md.",
        queries=[("firing", 'count(ALERTS{alertname=~"Mainstem.*", alertstate="firing"}) or vector(0)')],
        kind="number",
        width=4,
        alarm=1,
    ),
    Shown(
        title="Roles not ready",
        about="Roles whose /readyz says that they do not get on.",
        queries=[("not ready", "count(mainstem_ready == 0) or vector(0)")],
        kind="number",
        width=4,
        alarm=1,
    ),
    Shown(
        title="Changes not yet merged",
        about="Lag of the processor over all partitions.",
        queries=[("waiting", "sum(mainstem:processor_lag)")],
        kind="number",
        width=4,
        alarm=100_000,
    ),
    Shown(
        title="Records not yet carried on",
        about="Lag of the sink that is furthest behind.",
        queries=[("waiting", "max(mainstem:sink_lag)")],
        kind="number",
        width=4,
        alarm=100_000,
    ),
    Shown(
        title="Records unaccounted for",
        about="Taken, less merged, superseded, forwarded, dead-lettered and control. Anything but 0 is a defect.",
        queries=[("records", "sum(abs(mainstem:processor_unaccounted))")],
        kind="number",
        width=4,
        alarm=1,
    ),
    Shown(
        title="Dead letters",
        about="Set aside by the processor and the sinks within the range shown.",
        queries=[
            ("processor", "sum(increase(mainstem_processor_dead_letters_total[$__range]))"),
            ("sinks", "sum(increase(mainstem_sink_dead_letters_total[$__range]))"),
        ],
        kind="number",
        width=4,
        alarm=1,
    ),
)

FLOW: Final = (
    Shown(
        title="Changes in, by what became of them",
        about="Every record of the changes topics is one of these.",
        queries=[("{{outcome}}", rate("mainstem_processor_outcomes_total", "outcome", ROLE))],
        units="cps",
        kind="areas",
    ),
    Shown(
        title="Entities published",
        about="Merged entities written to the entities topic.",
        queries=[("{{change}}", rate("mainstem_processor_emissions_total", "change", ROLE))],
        units="cps",
        kind="areas",
    ),
    Shown(
        title="Records carried on, by sink",
        about="The sink of Postgres carries on what is held as well, beside the merged entities.",
        queries=[("{{sink}}", rate("mainstem_sink_records_total", "sink", ROLE))],
        units="cps",
    ),
    Shown(
        title="Lag of the processor",
        about="Changes that are not yet merged and acknowledged, by topic.",
        queries=[("{{topic}}", f"sum by (topic) (mainstem_processor_lag{{{ROLE}}})")],
        kind="areas",
    ),
    Shown(
        title="Lag of the sinks",
        about="Records that are not yet carried on.",
        queries=[("{{sink}}", f"sum by (sink) (mainstem_sink_lag{{{ROLE}}})")],
    ),
    Shown(
        title="Records unaccounted for, by topic",
        about="Stays at 0, always.",
        queries=[("{{topic}}", f"sum by (topic) (mainstem:processor_unaccounted{{{ROLE}}})")],
    ),
)

FRESHNESS: Final = (
    Shown(
        title="Published to merged",
        about="Age of a change when the broker has answered for all that came of it. Replayed ones are old.",
        queries=quantiles("mainstem_processor_delay_seconds", "merged", labels=ROLE),
        units="s",
    ),
    Shown(
        title="Merged to carried on, by sink",
        about="Age of a record of the sink's topic when its system has taken it. Add it to the panel on the left.",
        queries=quantiles("mainstem_sink_delay_seconds", "carried on", "sink", ROLE),
        units="s",
    ),
    Shown(
        title="Time per run of the processor",
        about="Merging takes the processor's core; writing is the broker's answer.",
        queries=[
            *quantiles("mainstem_processor_merge_seconds", "merge", labels=ROLE),
            *quantiles("mainstem_processor_write_seconds", "write", labels=ROLE),
        ],
        units="s",
    ),
)

PROCESSOR: Final = (
    Shown(
        title="Partitions, by worker",
        about="A step is a rebalance. The sum stays the same.",
        queries=[("{{role}}", f"sum by (role) (mainstem_processor_partitions{{{ROLE}}})")],
        kind="areas",
    ),
    Shown(
        title="Recovery: records still to read",
        about="Of the changelog, before a worker begins to merge.",
        queries=[("{{role}}", f"sum by (role) (mainstem_processor_recovery_remaining{{{ROLE}}})")],
    ),
    Shown(
        title="Recovery: time taken, and records read per second",
        about="The time is that of the last recovery, or of the one under way.",
        queries=[
            ("{{role}} seconds", f"max by (role) (mainstem_processor_recovery_seconds{{{ROLE}}})"),
            ("{{role}} records/s", rate("mainstem_processor_recovered_total", "role", ROLE)),
        ],
    ),
    Shown(
        title="Runs in flight",
        about="Merged and not yet answered; questions to a schema registry for which changes wait; partitions that"
        " another worker wrote to.",
        queries=[
            ("{{role}}", f"sum by (role) (mainstem_processor_runs_in_flight{{{ROLE}}})"),
            ("{{role}} registry retries per second", rate("mainstem_processor_registry_retries_total", "role", ROLE)),
            (
                "{{role}} foreign writes",
                f"sum by (role) (increase(mainstem_processor_foreign_writes_total{{{ROLE}}}{RATE}))",
            ),
        ],
    ),
    Shown(
        title="Merged anew by themselves",
        about="Because a deadline passed, and because the merge policy changed (partitions still to go).",
        queries=[
            ("deadlines per second", f"sum(rate(mainstem_processor_expiries_total{{{ROLE}}}{RATE}))"),
            ("rollout: partitions to go", f"sum(mainstem_processor_rollout_remaining{{{ROLE}}})"),
        ],
    ),
    Shown(
        title="Lost or quarantined within the hour",
        about="Records gone before they were read, and records that crashed a worker five times. Stays at 0.",
        queries=[
            ("expired unread", "sum(mainstem:processor_expired_unread:hour)"),
            ("quarantined", "sum(mainstem:processor_quarantined:hour)"),
        ],
    ),
)

SINKS: Final = (
    Shown(
        title="Time per batch",
        about="What the sink's system takes.",
        queries=quantiles("mainstem_sink_batch_seconds", "", "sink", ROLE),
        units="s",
    ),
    Shown(
        title="Records per batch",
        about="Large batches are a sink that catches up.",
        queries=[
            (
                "{{sink}}",
                rate("mainstem_sink_batch_records_sum", "sink", ROLE)
                + " / "
                + rate("mainstem_sink_batch_records_count", "sink", ROLE),
            )
        ],
    ),
    Shown(
        title="Since the last progress, and retries",
        about="A sink with nothing to do makes progress, too.",
        queries=[
            (
                "{{sink}} seconds",
                f"time() - max by (sink) (mainstem_sink_last_progress_seconds{{{ROLE}}})",
            ),
            ("{{sink}} retries", f"sum by (sink) (increase(mainstem_sink_retries_total{{{ROLE}}}{RATE}))"),
        ],
    ),
    Shown(
        title="Read anew",
        about="Partitions that a sink reads from their start, and the records carried on once more meanwhile.",
        queries=[
            ("{{sink}} partitions", f"sum by (sink) (mainstem_sink_rebuilding{{{ROLE}}})"),
            ("{{sink}} records/s", rate("mainstem_sink_replayed_total", "sink", ROLE)),
        ],
        width=12,
    ),
    Shown(
        title="Taken away",
        about="Partitions read anew as a whole, entities that were not seen meanwhile, rows of what vanished long ago;"
        " records passed over that a worker wrote after it had lost its partition.",
        queries=[
            ("{{sink}} read anew", f"sum by (sink) (increase(mainstem_sink_rebuilds_total{{{ROLE}}}{RATE}))"),
            ("{{sink}} swept", f"sum by (sink) (increase(mainstem_sink_swept_total{{{ROLE}}}{RATE}))"),
            ("{{sink}} late", f"sum by (sink) (increase(mainstem_sink_late_records_total{{{ROLE}}}{RATE}))"),
            ("{{sink}} purged", f"sum by (sink) (increase(mainstem_sink_purged_total{{{ROLE}}}{RATE}))"),
        ],
        kind="bars",
        width=12,
    ),
)

BACKSTAGE: Final = (
    Shown(
        title="Entities in Backstage, by what it said of them",
        about="Of the sink backstage. Refused or conflict: `GET /v1/sinks/backstage/emissions` has the reason of each.",
        queries=[("{{state}}", "max by (state) (mainstem_backstage_entities)")],
    ),
    Shown(
        title="Told to Backstage",
        about="What it answered to each entity that it was told of.",
        queries=[("{{outcome}}", rate("mainstem_backstage_emissions_total", "outcome"))],
        units="cps",
    ),
    Shown(
        title="Not yet confirmed",
        about="Entities of the batch under way of which it has not said what became of them.",
        queries=[("unconfirmed", "max(mainstem_backstage_unconfirmed)")],
    ),
    Shown(
        title="Since Backstage was compared as a whole",
        about="Every shard is compared at an interval and after an outage; one that differs is told whole.",
        queries=[("since the last one", "time() - max(mainstem_backstage_last_resync_seconds > 0)")],
        units="s",
    ),
    Shown(
        title="Shards compared",
        about="Unchanged: found as they were left. Put: told whole, since they differed.",
        queries=[("{{result}}", f"sum by (result) (increase(mainstem_backstage_resynced_shards_total{RATE}))")],
        kind="bars",
    ),
    Shown(
        title="Backstage is left alone",
        about="1 while it fails: it is asked only now and then whether it is back.",
        queries=[("circuit open", "max(mainstem_backstage_circuit_open)")],
        kind="states",
    ),
)

API: Final = (
    Shown(
        title="Requests, by route",
        about="Without those for health and metrics.",
        queries=[("{{route}}", rate("mainstem_api_requests_total", "route", 'route!~"/(livez|readyz|metrics)"'))],
        units="reqps",
    ),
    Shown(
        title="Answers, by status",
        about="503: Postgres does not answer.",
        queries=[("{{status}}", rate("mainstem_api_requests_total", "status"))],
        units="reqps",
        kind="areas",
    ),
    Shown(
        title="Time to answer",
        about="By route, without those for health and metrics.",
        queries=quantiles("mainstem_api_request_seconds", "", "route", 'route!~"/(livez|readyz|metrics)"'),
        units="s",
    ),
    Shown(
        title="Connections to Postgres",
        about="And requests that wait for one: postgres.pool.max_size.",
        queries=[
            ("{{state}}", "sum by (state) (mainstem_api_pool_connections)"),
            ("requests waiting", "sum(mainstem_api_pool_waiting)"),
        ],
        width=12,
    ),
    Shown(
        title="Who listens to events",
        about="To /v1/events; who is too slow is cut off, and comes back.",
        queries=[
            ("clients", "sum(mainstem_api_event_streams)"),
            ("sent, a second", "sum(rate(mainstem_api_events_sent_total[$__rate_interval]))"),
            ("cut off, a second", "sum(rate(mainstem_api_event_streams_cut_total[$__rate_interval]))"),
        ],
        width=12,
    ),
    Shown(
        title="Overrides",
        about="What people say against connectors. Drifted: the value beneath is another one since.",
        queries=[("{{state}}", "max by (state) (mainstem_overrides)")],
        width=12,
    ),
    Shown(
        title="Overrides that drift or end",
        about="In the last hour.",
        queries=[
            ("drifts", "sum(increase(mainstem_override_drifts_total[1h]))"),
            ("{{how}}", "sum by (how) (increase(mainstem_overrides_ended_total[1h]))"),
        ],
        width=12,
    ),
)

ROLES: Final = (
    Shown(
        title="Ready",
        about="1: records are finished, or there is nothing to do.",
        queries=[("{{role}}", f"min by (role) (mainstem_ready{{{ROLE}}})")],
        kind="states",
    ),
    Shown(
        title="Memory",
        about="Resident; of the processor with the cache of its local store.",
        queries=[("{{role}}", f"sum by (role) (process_resident_memory_bytes{{{ROLE}}})")],
        units="bytes",
    ),
    Shown(
        title="Processor time",
        about="1 is one core. One worker of the processor uses little more than one.",
        queries=[("{{role}}", rate("process_cpu_seconds_total", "role", ROLE))],
        units="short",
    ),
    Shown(
        title="Starts",
        about="How often each role was started within a quarter of an hour.",
        queries=[("{{role}}", f"max by (role) (changes(process_start_time_seconds{{{ROLE}}}[15m]))")],
        width=12,
    ),
    Shown(
        title="Versions",
        about="Of Mainstem, and of Python beneath it; two at a time are an upgrade under way.",
        queries=[("{{version}} on Python {{python}}", f"count by (version, python) (mainstem_build_info{{{ROLE}}})")],
        width=12,
    ),
)

ROWS: Final = {
    "Must somebody act?": NOW,
    "Is everything flowing?": FLOW,
    "How fresh is it?": FRESHNESS,
    "Connectors": CONNECTORS,
    "Processor": PROCESSOR,
    "Sinks": SINKS,
    "Backstage": BACKSTAGE,
    "API": API,
    "Roles": ROLES,
}
