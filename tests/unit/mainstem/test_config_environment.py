"""What variables do to a configuration: substituted in its values, or written over its keys."""

from datetime import timedelta
from pathlib import Path

import pytest


def git(text):
    """One connector, with *text* as further keys."""
    return f"connectors: [{{connector_id: a, type: git, {text}}}]"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${A}", "alpha"),
        ("x-${A}-${ B }", "x-alpha-beta"),
        ("${NONE:-other}", "other"),
        ("${BLANK:-other}", "other"),
        ("${A:-other}", "alpha"),
        ("${NONE:-a:-b}", "a:-b"),
        ("x${BLANK}y", "xy"),
        ("${SPACED}", "spaced"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A", "$A"),
        ("${A", "${A"),
        ("${RECURSIVE}", "${A}"),
    ],
)
def test_variables_are_substituted_by_the_rules_of_backstage(read, written, expected):
    environ = {"A": "alpha", "B": "beta", "BLANK": "", "SPACED": " spaced\n", "RECURSIVE": "${A}"}
    config = read(git(f'connection: {{deep: [{{url: "{written}"}}]}}'), environ=environ)
    assert config.connectors[0].connection == {"deep": [{"url": expected}]}


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("${KAFKA}", "KAFKA is not set; set it, write ${KAFKA:-default}, or remove the key"),
        ("${BLANK}", "BLANK is empty; set it, or remove the key"),
        ("${KAFKA:-}", "KAFKA is not set; set it, write ${KAFKA:-default}, or remove the key"),
        ("${ONE}:${KAFKA}", "KAFKA is not set; set it, write ${KAFKA:-default}, or remove the key"),
    ],
)
def test_a_key_that_substitutes_to_nothing_is_an_error_that_names_the_variable(faults, written, sentence):
    found = faults(f'kafka: {{bootstrap_servers: "{written}"}}', environ={"BLANK": " ", "ONE": "1"})
    assert found == [f"mainstem.yaml: kafka.bootstrap_servers: comes to nothing: {sentence}"]


def test_what_was_substituted_is_text_that_numbers_and_switches_still_read(read):
    yaml = 'api: {port: "${PORT}"}\nsinks: {postgres: {enabled: "${ON}"}}\n' + git('priority: "${P}", ttl: "${T}"')
    config = read(yaml, environ={"PORT": "0", "ON": "false", "P": "-3", "T": "90"})
    connector = config.connectors[0]
    found = (config.api.port, config.sinks["postgres"].enabled, connector.priority, connector.ttl)
    assert found == (0, False, -3, timedelta(seconds=90))


def test_a_variable_over_a_key_takes_the_place_of_what_substitutes_to_nothing(read):
    yaml = 'kafka: {bootstrap_servers: "${KAFKA}"}'
    config = read(yaml, environ={"MAINSTEM_KAFKA__BOOTSTRAP_SERVERS": "a:1"})
    assert config.kafka.bootstrap_servers == "a:1"


def test_variables_are_written_over_the_file(read):
    environ = {
        "MAINSTEM_KAFKA__BOOTSTRAP_SERVERS": "a:1,b:2",
        "MAINSTEM_API__PORT": "0",
        "MAINSTEM_PROCESSOR__WORKERS": "2",
        "MAINSTEM_EMBEDDED": "off",
        "MAINSTEM_CACHE_DIR": "cache",
        "MAINSTEM_TENANTS": '[{"id": "x"}]',
        "MAINSTEM_SINKS__INCIDENTS__KINDS": "[api]",
        "MAINSTEM_TEST_ANYTHING": "",
        "HOME": "/",
    }
    config = read("api: {port: 99}\nprocessor: {workers: 9}", environ=environ)
    found = (
        config.kafka.bootstrap_servers,
        config.api.port,
        config.processor.workers,
        config.embedded,
        config.cache_dir,
        config.tenants[0].id,
        config.sinks["incidents"].options,
        config.warnings,
    )
    assert found == ("a:1,b:2", 0, 2, "off", Path("cache"), "x", {"kinds": ["api"]}, ())


@pytest.mark.parametrize("value", ["123", "{not-yaml", "[1]", "true", "${HOME}"])
def test_a_variable_for_a_text_is_taken_as_it_is(read, value):
    assert read("", environ={"MAINSTEM_API__TOKEN": value}).api.token.get_secret_value() == value


def test_a_key_of_a_section_counts_over_the_section(read):
    environ = {"MAINSTEM_TOPICS": "{prefix: a, partitions: 3}", "MAINSTEM_TOPICS__PREFIX": "b"}
    topics = read("", environ=environ).topics
    assert (topics.prefix, topics.partitions) == ("b", 3)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("MAINSTEM_API__PRT", "did you mean MAINSTEM_API__PORT?"),
        ("MAINSTEM_KAFKA__BOOTSTRAP_SERVER", "did you mean MAINSTEM_KAFKA__BOOTSTRAP_SERVERS?"),
        ("MAINSTEM_TOPICS_PREFIX", "did you mean MAINSTEM_TOPICS__PREFIX?"),
        ("MAINSTEM_API_PORT", "did you mean MAINSTEM_API__PORT?"),
        ("MAINSTEM_FOO__BAR", "the keys of mainstem.yaml can be set"),
        ("MAINSTEM_API__port", "did you mean MAINSTEM_API__PORT?"),
        ("MAINSTEM_CONNECTORS__0__PRIORITY", "did you mean MAINSTEM_CONNECTORS?"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_it(faults, name, remedy):
    found = faults("", environ={name: "1"})
    assert found[0].startswith(f"{name}: unknown variable; {remedy}")


@pytest.mark.parametrize("name", ["MAINSTEM_PORT", "MAINSTEM_SERVICE_HOST", "MAINSTEM_PORT_8080_TCP", "MAINSTEM_X"])
def test_a_variable_with_neither_nesting_nor_a_key_is_a_warning(read, name):
    warnings = read("", environ={name: "tcp://10.0.0.1:80"}).warnings
    assert [warning.split(";")[0] for warning in warnings] == [f"{name}: ignored, it is no variable of Mainstem"]


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_an_error(faults, value):
    found = faults("", environ={"MAINSTEM_KAFKA__BOOTSTRAP_SERVERS": value})
    sentence = "the variable is empty; give it a value or unset it"
    assert found == [f"MAINSTEM_KAFKA__BOOTSTRAP_SERVERS: kafka.bootstrap_servers: {sentence}"]


def test_a_fault_of_a_variable_names_the_variable(faults):
    found = faults("", environ={"MAINSTEM_API__PORT": "x"})
    assert found == ["MAINSTEM_API__PORT: api.port: must be a whole number"]
