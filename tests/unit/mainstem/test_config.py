"""What a configuration may say, what holds where it says nothing, and which files are read."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from mainstem.config import Config
from mainstem.configuration.loading import load
from mainstem.configuration.plugins import check_sinks, check_types
from schemas.errors import ConfigError

CANARY = "canary-7f3a91"
REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "service-catalog-connector.md"

CATALOGUE_CONNECTOR = """
connector_id: catalogue-test
type: backstage
enabled: true
connection:
  base_url: "https://catalogue.example"
  auth:
    type: bearer_token
    secret_ref: "secrets/catalogue-token"
sync:
  schedule: "*/10 * * * *"  # often
  full_sync_schedule: "30 3 * * *"
entity_types:
  - component
  - api
field_mapping:
  name: "metadata.title"
  tier: "metadata.annotations['example.org/tier']"
dependency_extraction:
  upstream: "spec.dependsOn"
  downstream: "relations[?type=='dependencyOf'].targetRef"
filters:
  - "spec.lifecycle != 'retired'"
"""

EVERYTHING = """
kafka:
  bootstrap_servers: "${KAFKA}"
  security_protocol: SASL_SSL
  sasl: {mechanism: SCRAM-SHA-512, username: mainstem, password: {secret_ref: "env:KAFKA_PASSWORD"}}
  ssl: {ca_location: ca.pem}
  schema_registry: {url: "http://registry.example:8081"}
postgres: {dsn: "${DSN}", pool: {min_size: 2, max_size: 5}, keep_vanished: 7d}
topics: {prefix: acme.catalogue, partitions: 24, replication_factor: 2}
tenants: [{id: default}, {id: other}]
connectors:
  - connector_id: git
    type: git
    enabled: true
    tenant: other
    priority: 50
    complete: false
    ttl: 24h
    grace: 0s
    max_stale: 12h
    asserts_existence: false
    deletion_guard: {max_count: 5, max_percent: 2.5}
    sync: {schedule: "*/15 * * * *", full_sync_schedule: "0 2 * * *", timezone: Europe/Berlin, jitter: 90s}
    retry: {attempts: 5, backoff: [2s, 1m], on: [timeout, rate_limit]}
    incremental: {burst_length: 10s, burst_interval: 30s, rest_length: 30m, chunk_size: 50, backoff: [30s, 1m, 5m, 30m]}
    connection: {url: "https://git.example/catalogue"}
    entity_types: [component, System]
    field_mapping: {tier: "metadata.annotations['acme.com/tier']"}
    dependency_extraction: {upstream: "spec.dependsOn"}
    filters: ["spec.lifecycle != 'deprecated'"]
    validation: [{rule: "spec.owner", message: An owner is needed.}]
merge: {rules: [], revision: 3}
processor: {workers: 2}
sinks: {postgres: {}, incidents: {kinds: [component]}, backstage: {enabled: false}}
api: {host: 127.0.0.1, port: 0}
"""


def git(text):
    """One connector, with *text* as further keys."""
    return f"connectors: [{{connector_id: a, type: git, {text}}}]"


def test_an_empty_file_is_all_defaults(read):
    assert read("") == read("# nothing but a remark\n")


def test_the_defaults_are_those_of_the_contract(read):
    config = read("")
    found = (
        config.kafka.bootstrap_servers,
        config.postgres.dsn,
        config.postgres.pool.min_size,
        config.postgres.pool.max_size,
        config.postgres.keep_vanished,
        config.topics.prefix,
        [tenant.id for tenant in config.tenants],
        config.connectors,
        config.merge.revision,
        config.processor.workers,
        (config.api.host, config.api.port),
        config.embedded,
        {name: (sink.enabled, sink.options) for name, sink in config.sinks.items()},
    )
    kinds = {"kinds": ["component", "api", "system", "resource"]}
    sinks = {"postgres": (True, {}), "incidents": (True, kinds), "backstage": (False, {})}
    month = timedelta(days=30)
    expected = (None, None, 1, 10, month, "mainstem", ["default"], (), 0, 1, ("127.0.0.1", 8080), "auto", sinks)
    assert found == expected


def test_a_connector_that_says_only_its_id_and_type_has_the_defaults_of_the_contract(read):
    connector = read("connectors: [{connector_id: a, type: external}]").connectors[0]
    found = connector.model_dump(exclude={"deletion_guard", "sync", "incremental", "dependency_extraction", "retry"})
    expected = {
        "connector_id": "a",
        "type": "external",
        "enabled": True,
        "tenant": "default",
        "priority": 0,
        "complete": None,
        "ttl": None,
        "grace": timedelta(),
        "max_stale": timedelta(hours=24),
        "asserts_existence": True,
        "connection": {},
        "entity_types": None,
        "field_mapping": {},
        "filters": (),
        "validation": (),
    }
    assert found == expected


def test_every_key_of_the_contract_is_read(read, tmp_path):
    (tmp_path / "ca.pem").touch()
    environ = {"KAFKA": "kafka.example:9092", "DSN": "postgresql://db.example/x", "KAFKA_PASSWORD": CANARY}
    config = read(EVERYTHING, environ=environ)
    connector = config.connectors[0]
    found = (
        config.kafka.bootstrap_servers,
        config.kafka.sasl.password.get_secret_value(),
        config.kafka.ssl.ca_location,
        config.postgres.dsn.get_secret_value(),
        connector.ttl,
        connector.entity_types,
        (connector.sync.timezone, connector.sync.jitter),
        (connector.retry.attempts, connector.retry.on),
        [(each.rule, each.message) for each in connector.validation],
        connector.incremental.backoff[-1],
        connector.deletion_guard.max_percent,
        config.merge.revision,
    )
    dsn, day, ca = "postgresql://db.example/x", timedelta(days=1), str(tmp_path / "ca.pem")
    kinds, rules = ("component", "system"), [("spec.owner", "An owner is needed.")]
    sync, retry = ("Europe/Berlin", timedelta(seconds=90)), (5, ("timeout", "rate_limit"))
    ours = (day, kinds, sync, retry, rules, timedelta(minutes=30), 2.5, 3)
    expected = ("kafka.example:9092", CANARY, ca, dsn, *ours)
    assert found == expected


def test_a_configuration_cannot_be_changed(read):
    with pytest.raises(ValueError, match="frozen"):
        read("").topics.prefix = "other"


@pytest.mark.parametrize(
    ("key", "expected"), [("type: git", True), ("type: external", False), ("type: git, complete: false", False)]
)
def test_only_git_is_complete_unless_the_connector_says_otherwise(read, key, expected):
    config = read(f"connectors: [{{connector_id: a, {key}}}]")
    assert config.connectors[0].is_complete is expected


@pytest.mark.parametrize(
    ("yaml", "embedded", "expected"),
    [
        ("", False, (12, 3)),
        ("", True, (4, 1)),
        ("topics: {partitions: 7, replication_factor: 2}", False, (7, 2)),
        ("topics: {partitions: 7, replication_factor: 2}", True, (7, 1)),
    ],
)
def test_partitions_and_copies_depend_on_whether_kafka_is_embedded(read, yaml, embedded, expected):
    topics = read(yaml).topics
    assert (topics.partition_count(embedded=embedded), topics.replica_count(embedded=embedded)) == expected


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("24h", 86400), ("7d", 604800), ('"60"', 60), ("1.0", 1)],
)
def test_a_duration_is_seconds_or_a_number_with_its_unit(read, written, seconds):
    assert read(git(f"ttl: {written}")).connectors[0].ttl == timedelta(seconds=seconds)


def test_sinks_that_are_not_named_and_options_that_are_not_named_keep_their_defaults(read):
    sinks = read("sinks: {incidents: {enabled: false}, postgres: , other: {url: x}}").sinks
    found = {name: (sink.enabled, sorted(sink.options)) for name, sink in sinks.items()}
    expected = {
        "postgres": (True, []),
        "incidents": (False, ["kinds"]),
        "backstage": (False, []),
        "other": (True, ["url"]),
    }
    assert found == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_the_api_may_listen_on_loopback_without_tokens(read, host):
    assert read(f'api: {{host: "{host}"}}').api.host == host


def test_the_api_may_listen_anywhere_with_a_token(read):
    found = [read(f"api: {{host: 0.0.0.0, {each}}}").api.host for each in ("token: abc", "auth: tokens")]
    assert found == ["0.0.0.0", "0.0.0.0"]


def test_a_connector_file_of_the_reference_s_form_loads_after_those_of_the_main_file(read):
    config = read(git("priority: 1"), connectors={"catalogue.yaml": CATALOGUE_CONNECTOR})
    found = [(each.connector_id, each.sync.schedule) for each in config.connectors]
    assert found == [("a", None), ("catalogue-test", "*/10 * * * *")]


def test_the_reference_s_example_loads_as_it_stands(read):
    if not REFERENCE.exists():
        pytest.skip("the reference is not part of this checkout")
    example = re.search(r"```yaml\n(connector_id:.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)[1]
    connector = read("", connectors={"backstage.yaml": example}).connectors[0]
    found = (connector.connector_id, connector.connection["auth"]["secret_ref"], len(connector.filters))
    assert found == ("backstage-prod", "secrets/backstage-token", 2)


def test_a_fault_in_a_connector_file_names_that_file_and_the_key_in_it(faults):
    found = faults("", connectors={"x.yaml": "connector_id: x\ntype: git\nprioritty: 1\n"})
    assert found == ["connectors.d/x.yaml: prioritty: unknown key; did you mean priority?"]


def test_an_id_that_stands_twice_names_both_places(faults):
    found = faults(git("priority: 1"), connectors={"x.yaml": "connector_id: a\ntype: git\n"})
    sentence = "the same id stands at mainstem.yaml: connectors[0].connector_id; rename one of them"
    assert found == [f"connectors.d/x.yaml: connector_id: {sentence}"]


def test_a_connector_file_of_another_ending_is_a_warning(read):
    config = read("", connectors={"x.yml": "connector_id: x\ntype: git\n"})
    assert config.warnings == ("connectors.d/x.yml: not read; rename it to end in .yaml",)


def test_a_file_named_explicitly_must_exist(tmp_path):
    with pytest.raises(ConfigError, match=r"prod\.yaml: cannot be read \(no such file or directory\)"):
        load(tmp_path / "prod.yaml", environ={})


def test_the_default_file_need_not_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(environ={}).topics.prefix == "mainstem"


def test_the_default_file_is_read_where_it_exists(tmp_path, monkeypatch):
    (tmp_path / "mainstem.yaml").write_text("topics: {prefix: here}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load(environ={}).topics.prefix == "here"


def test_a_type_that_is_not_installed_names_the_nearest_and_the_place(read):
    config = read("connectors: [{connector_id: a, type: gti}]", connectors={"x.yaml": CATALOGUE_CONNECTOR})
    with pytest.raises(ConfigError) as refused:
        check_types(config, {"git", "external"})
    expected = [
        "mainstem.yaml: connectors[0].type: gti is not installed; did you mean git? installed: external, git",
        "connectors.d/x.yaml: type: backstage is not installed; installed: external, git",
    ]
    assert str(refused.value).splitlines() == expected


def test_only_enabled_sinks_must_be_installed(read):
    with pytest.raises(ConfigError) as refused:
        check_sinks(read("sinks: {incident: {}, postgres: {enabled: false}}"), {"incidents"})
    expected = "mainstem.yaml: sinks.incident: incident is not installed; did you mean incidents? installed: incidents"
    assert str(refused.value) == expected


def test_what_is_installed_passes(read):
    config = read(git("priority: 1"))
    check_types(config, {"git"})
    check_sinks(config, {"postgres", "incidents"})
    assert isinstance(config, Config)
