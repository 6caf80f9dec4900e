"""How each mistake in a configuration is told: file, key, remedy, never the value."""

import pytest

from mainstem.configuration.loading import load
from schemas.errors import ConfigError


def git(text):
    """One connector, with *text* as further keys."""
    return f"connectors: [{{connector_id: a, type: git, {text}}}]"


KEY_FAULTS = [
    ("topics: {partitons: 3}", "topics.partitons: unknown key; did you mean partitions?"),
    ("topics: {x: 3}", "topics.x: unknown key; known keys: partitions, prefix, replication_factor"),
    ("topcs: {}", "topcs: unknown key; did you mean topics?"),
    ("topics: 3", "topics: must be a mapping of keys to values"),
    ("topics: {partitions: true}", "topics.partitions: must be a number, not true or false"),
    ("topics: {partitions: 0}", "topics.partitions: must be at least 1"),
    ("topics: {partitions: 1.5}", "topics.partitions: must be a whole number"),
    (
        'topics: {prefix: "a b"}',
        "topics.prefix: a prefix is up to 100 letters, digits, dashes and underscores, parts joined by .",
    ),
    (
        "topics: {prefix: ..}",
        "topics.prefix: a prefix is up to 100 letters, digits, dashes and underscores, parts joined by .",
    ),
    ("topics: {prefix: 3}", "topics.prefix: must be text; put it in quotes"),
    ("topics: {prefix: }", "topics.prefix: has no value; write one or remove the key"),
    ("tenants: []", "tenants: must not be empty"),
    ("tenants: [{id: A}]", "tenants[0].id: a tenant's id is 1 to 63 lower-case letters, digits and dashes"),
    (
        "tenants: [{id: a}, {id: a}]",
        "tenants[1].id: the same id stands at mainstem.yaml: tenants[0].id; rename one of them",
    ),
    ("connectors: {a: 1}", "connectors: must be a list"),
    ("connectors: [{connector_id: a}]", "connectors[0].type: is missing; add it"),
    ("connectors: [{type: git}]", "connectors[0].connector_id: is missing; add it"),
    (
        "connectors: [{connector_id: A_b, type: git}]",
        "connectors[0].connector_id: a connector's id is 1 to 63 lower-case letters, digits and dashes",
    ),
    (
        'connectors: [{connector_id: "a\\n", type: git}]',
        "connectors[0].connector_id: a connector's id is 1 to 63 lower-case letters, digits and dashes",
    ),
    (
        "connectors: [{connector_id: override, type: git}]",
        "connectors[0].connector_id: this id is reserved (override and manual are Mainstem's own); choose another",
    ),
    (
        "connectors: [{connector_id: manual, type: git}]",
        "connectors[0].connector_id: this id is reserved (override and manual are Mainstem's own); choose another",
    ),
    (git("tenant: defualt"), "connectors[0].tenant: no such tenant is configured; did you mean default?"),
    (git("priority: high"), "connectors[0].priority: must be a whole number"),
    (git("priority: true"), "connectors[0].priority: must be a number, not true or false"),
    (git("priority: 9223372036854775808"), "connectors[0].priority: must be at most 9223372036854775807"),
    (git("enabled: maybe"), "connectors[0].enabled: must be true or false"),
    (git("ttl: 90x"), "connectors[0].ttl: a duration is seconds or 90s, 15m, 24h, 7d"),
    (git("ttl: true"), "connectors[0].ttl: a duration is seconds or 90s, 15m, 24h, 7d"),
    (git("ttl: [1]"), "connectors[0].ttl: a duration is seconds or 90s, 15m, 24h, 7d"),
    (git("ttl: -1"), "connectors[0].ttl: a duration is seconds or 90s, 15m, 24h, 7d"),
    (git("ttl: 999999999999d"), "connectors[0].ttl: a duration is shorter than a million years"),
    (git("ttl: 0"), "connectors[0].ttl: must be whole seconds, at least 1s"),
    (git("ttl: 1.5"), "connectors[0].ttl: must be whole seconds, at least 1s"),
    (git("incremental: {burst_length: 0}"), "connectors[0].incremental.burst_length: must be from 1s to 300s"),
    (git("incremental: {burst_interval: 301}"), "connectors[0].incremental.burst_interval: must be from 5s to 300s"),
    (
        git("incremental: {burst_length: 30s}"),
        "connectors[0].incremental.burst_interval: must be longer than burst_length, or bursts would overlap",
    ),
    (
        git("incremental: {rest_length: 30}"),
        "connectors[0].incremental.rest_length: must be from 1m to 24h; a number alone counts seconds",
    ),
    (git("incremental: {chunk_size: 1001}"), "connectors[0].incremental.chunk_size: must be at most 1000"),
    (
        git("sync: {schedule: hourly}"),
        "connectors[0].sync.schedule: a schedule has five fields: minute hour day month weekday, as in */15 * * * *",
    ),
    (
        git('sync: {schedule: "0 25 * * *"}'),
        "connectors[0].sync.schedule: its hour is none that comes; see crontab(5)",
    ),
    (
        git('sync: {full_sync_schedule: "0 0 31 2 *"}'),
        "connectors[0].sync.full_sync_schedule: its day-of-month is none that comes; see crontab(5)",
    ),
    (
        git("sync: {timezone: Europe/Berln}"),
        (
            "connectors[0].sync.timezone: must be the name of a time zone, such as Europe/Berlin;"
            " did you mean Europe/Berlin?"
        ),
    ),
    (
        git('sync: {timezone: "../etc/passwd"}'),
        "connectors[0].sync.timezone: must be the name of a time zone, such as Europe/Berlin",
    ),
    (git("sync: {jitter: 25h}"), "connectors[0].sync.jitter: must be at most 24h"),
    (git("retry: {attempts: 0}"), "connectors[0].retry.attempts: must be at least 1"),
    (git("retry: {attempts: 11}"), "connectors[0].retry.attempts: must be at most 10"),
    (git("retry: {backoff: []}"), "connectors[0].retry.backoff: must not be empty"),
    (
        git("retry: {on: [denied]}"),
        "connectors[0].retry.on[0]: must be timeout, connection, rate_limit or server_error",
    ),
    (git("validation: [{rule: spec}]"), "connectors[0].validation[0].message: is missing; add it"),
    (
        git("validation: [{rule: spec, mesage: x, message: y}]"),
        "connectors[0].validation[0].mesage: unknown key; did you mean message?",
    ),
    (git("entity_types: []"), "connectors[0].entity_types: must not be empty"),
    (
        git("field_mapping: {ownerTeam: spec.owner}"),
        "connectors[0].field_mapping: its keys are in snake_case, such as owner_team; ownerTeam is not",
    ),
    (git("deletion_guard: {max_percent: 101}"), "connectors[0].deletion_guard.max_percent: must be at most 100"),
    (git("filters: spec"), "connectors[0].filters: must be a list"),
    (git("field_mapping: {tier: 3}"), "connectors[0].field_mapping.tier: must be text; put it in quotes"),
    (
        "kafka: {bootstrap_servers: kafka}",
        "kafka.bootstrap_servers: must be host:port, or several of them separated by commas",
    ),
    (
        "kafka: {bootstrap_servers: ':9092'}",
        "kafka.bootstrap_servers: must be host:port, or several of them separated by commas",
    ),
    (
        "kafka: {security_protocol: SSL}",
        "kafka.security_protocol: is of no use without kafka.bootstrap_servers; set that, or remove this key",
    ),
    (
        "kafka: {bootstrap_servers: 'a:1', security_protocol: SASL_SSL}",
        "kafka.sasl: is missing: security_protocol asks for it",
    ),
    (
        "kafka: {bootstrap_servers: 'a:1', security_protocol: TLS}",
        "kafka.security_protocol: must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    ),
    (
        "kafka: {bootstrap_servers: 'a:1', sasl: {username: u, password: p}}",
        "kafka.sasl: needs security_protocol SASL_SSL",
    ),
    (
        "kafka: {bootstrap_servers: 'a:1', ssl: {}}",
        "kafka.ssl: is of no use without encryption; set security_protocol to SSL or SASL_SSL",
    ),
    (
        "kafka: {bootstrap_servers: 'a:1', security_protocol: SSL, ssl: {ca_location: none.pem}}",
        "kafka.ssl.ca_location: must be a file that can be read; its path is relative to the configuration file",
    ),
    (
        "kafka: {bootstrap_servers: 'a:1', security_protocol: SSL, ssl: {certificate_location: mainstem.yaml}}",
        "kafka.ssl.key_location: certificate_location and key_location go together; set both, or neither",
    ),
    ("postgres: {dsn: ''}", "postgres.dsn: must not be empty; write a value or remove the key"),
    ("postgres: {dsn: [1]}", "postgres.dsn: must be text, or {secret_ref: env:NAME | file:PATH}"),
    ("postgres: {pool: {min_size: 20}}", "postgres.pool.max_size: must be at least min_size"),
    ("processor: {workers: 0}", "processor.workers: must be at least 1"),
    ("sinks: {incidents: {enabled: 3}}", "sinks.incidents.enabled: must be true or false"),
    ("sinks: {incidents: true}", "sinks.incidents: must be a mapping of keys to values"),
    ("sinks: [incidents]", "sinks: must be a mapping of keys to values"),
    ("api: {port: 65536}", "api.port: must be at most 65535"),
    (
        "api: {host: 0.0.0.0}",
        (
            "api.host: without tokens the API would answer anyone who reaches this machine; "
            "use 127.0.0.1, ::1 or localhost, or set api.auth: tokens"
        ),
    ),
    ("api: {auth: {type: x}}", "api.auth: must be none or tokens"),
    ("api: {auth: none, token: abc}", "api.auth: none contradicts api.token: remove one of the two"),
    (
        "api: {auth: none, host: 0.0.0.0}",
        "api.host: api.auth: none is for 127.0.0.1, ::1 or localhost: anyone who reaches this machine would be let in",
    ),
    ("embedded: maybe", "embedded: must be auto, docker or off"),
]


@pytest.mark.parametrize(("yaml", "expected"), KEY_FAULTS, ids=[yaml for yaml, _ in KEY_FAULTS])
def test_a_value_that_cannot_be_used_is_told_with_file_key_and_remedy(faults, yaml, expected):
    assert faults(yaml) == [f"mainstem.yaml: {expected}"]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("{path: spec, strategy: drop}", ".path: must be a JSON pointer, such as /spec/owner"),
        ("{path: /spec/owner, strategy: authoritative}", ": strategy authoritative needs connector"),
        ("{path: /spec/a, strategy: min, key: url}", ": key belongs to strategy union_by_key alone; remove it"),
        ("{path: /spec/a, strategy: rank, values: []}", ": strategy rank needs values"),
        ("{path: /spec/a, strategy: rank, valus: [1]}", ": unknown key valus; did you mean values?"),
        ("{path: /metadata/name, strategy: drop}", ": /metadata/name is the entity's identity, which no rule makes"),
        (
            "{path: /entity/spec/a, strategy: drop}",
            ": /entity/spec/a leads nowhere; a path begins with /metadata, /spec, /service",
        ),
        (
            "{path: /spec/profile/email, strategy: drop}",
            (
                ": /spec/profile/email lies inside of a field that is merged as a whole;"
                " the rule can be about /spec/profile"
            ),
        ),
        (
            "{path: /spec/a, strategy: coupled, pointers: [/metadata/labels]}",
            ": /metadata/labels is many fields; coupled takes single ones, and keys of annotations and labels",
        ),
    ],
)
def test_a_merge_rule_that_cannot_be_used_is_told_with_the_remedy(faults, rule, sentence):
    assert faults(f"merge: {{rules: [{rule}]}}") == [f"mainstem.yaml: merge.rules[0]{sentence}"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{path: /spec/a, strategy: drop}", "{path: /spec/a, strategy: min}"),
        ("{path: /spec/a, strategy: drop, kinds: [API, Group]}", "{path: /spec/a, strategy: min, kinds: [api]}"),
        ("{path: /spec/b, strategy: coupled, pointers: [/spec/a]}", "{path: /spec/a, strategy: min}"),
    ],
)
def test_two_rules_about_the_same_field_are_refused(faults, one, other):
    expected = "mainstem.yaml: merge: rules[0] and rules[1] are both about /spec/a; remove one of them"
    assert faults(f"merge: {{rules: [{one}, {other}]}}") == [expected]


def test_every_fault_is_told_at_once_wherever_it_stands(faults):
    found = faults(
        "api: {port: x}\nconnectors: [{connector_id: a, type: git, ttl: x, tenant: b}, {connector_id: a, type: git}]",
        environ={"MAINSTEM_TOPICS__PREFIX": "", "MAINSTEM_X__Y": "1"},
        connectors={"x.yaml": "type: git\ngrace: '${GRACE}'\n"},
    )
    keys = [line.split(";")[0].rsplit(": ", 1)[0] for line in found]
    expected = [
        "MAINSTEM_TOPICS__PREFIX: topics.prefix",
        "MAINSTEM_X__Y",
        "connectors.d/x.yaml: connector_id",
        "connectors.d/x.yaml: grace: comes to nothing",
        "mainstem.yaml: api.port",
        "mainstem.yaml: connectors[0].tenant",
        "mainstem.yaml: connectors[0].ttl",
        "mainstem.yaml: connectors[1].connector_id: the same id stands at mainstem.yaml",
    ]
    assert sorted(keys) == expected


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("topics:\n  prefix: a\n  partitions: 3\n  prefix: b\n", "line 4: not valid YAML: a key that is given twice"),
        ("api: {}\ntopics: {}\napi: {}\n", "line 3: not valid YAML: a key that is given twice"),
        ("topics: {prefix: a, prefix: b}\n", "line 1: not valid YAML: a key that is given twice"),
        ("connectors:\n  - type: a\n  - type: b\n    type: c\n", "line 4: not valid YAML: a key that is given twice"),
        ("topics: {}\napi: [\n", "line 3: not valid YAML: "),
        ("topics: {prefix: ${X}}\n", "line 1: not valid YAML: "),
        ("- 1\n", "must be a mapping of keys to values"),
        ("a: 1\n---\nb: 2\n", "line 2: not valid YAML: more than one document"),
        ("? [a]\n: 1\n", "line 1: not valid YAML: a list or an object as a key"),
    ],
)
def test_yaml_that_is_none_names_file_and_line(faults, yaml, expected):
    assert faults(yaml)[0].startswith(f"mainstem.yaml: {expected}")


def test_a_main_file_that_cannot_be_read_hides_no_fault_of_the_others_and_makes_up_none(faults):
    files = {"a.yaml": "connector_id: a\ntype: git\ntenant: other\n", "b.yaml": "type: [\n"}
    found = faults("tenants: [", connectors=files, environ={"MAINSTEM_X__Y": "1"})
    assert [line.split(":")[0] for line in found] == ["MAINSTEM_X__Y", "mainstem.yaml", "connectors.d/b.yaml"]


def test_a_file_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "mainstem.yaml").write_bytes(b"topics: {prefix: \xff}")
    with pytest.raises(ConfigError, match=r"mainstem\.yaml: is not UTF-8 text"):
        load(tmp_path / "mainstem.yaml", environ={})
