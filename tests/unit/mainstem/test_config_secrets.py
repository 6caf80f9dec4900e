"""Where secrets come from, and that nothing shows them."""

import pytest

from mainstem.configuration.secrets import SecretRef
from schemas.errors import ConfigError

CANARY = "canary-7f3a91"


def git(text):
    """One connector, with *text* as further keys."""
    return f"connectors: [{{connector_id: a, type: git, {text}}}]"


def test_a_secret_comes_from_a_variable_a_file_or_a_path_beside_the_configuration(tmp_path):
    (tmp_path / "token").write_text(f"{CANARY}\n", encoding="utf-8")
    refs = ["env:TOKEN", f"file:{tmp_path / 'token'}", "file:token", "token"]
    environ = {"TOKEN": CANARY}
    found = {SecretRef(secret_ref=ref).resolve(environ, tmp_path).get_secret_value() for ref in refs}
    assert found == {CANARY}


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("env:TOKEN", "the variable TOKEN is not set or empty; set it"),
        ("env:BLANK", "the variable BLANK is not set or empty; set it"),
        ("env:", "env: is followed by the name of a variable, as in env:API_TOKEN"),
        ("file:none", "the file none cannot be read as text; create it, or use env:NAME"),
        ("file:blank", "the file blank is empty; write the secret into it"),
        (
            CANARY,
            (
                "the file that secret_ref names beside the configuration cannot be read as text; "
                "create it, or use env:NAME"
            ),
        ),
    ],
)
def test_a_secret_that_is_not_there_is_told_without_its_value(tmp_path, ref, sentence):
    (tmp_path / "blank").write_text(" \n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        SecretRef(secret_ref=ref).resolve({"BLANK": ""}, tmp_path)
    assert str(refused.value) == f"secret_ref: {sentence}"


def test_a_secret_that_loading_cannot_fetch_is_a_fault_of_its_key(faults):
    found = faults("api: {token: {secret_ref: 'env:TOKEN'}}")
    assert found == ["mainstem.yaml: api.token: secret_ref: the variable TOKEN is not set or empty; set it"]


def test_no_text_of_a_configuration_shows_a_secret(read):
    yaml = (
        f"kafka: {{bootstrap_servers: 'a:1', security_protocol: SASL_SSL, sasl: {{username: u, password: {CANARY}}},"
        f" ssl: {{key_password: {CANARY}}}, schema_registry: {{url: 'http://u:{CANARY}@x', password: {CANARY}}}}}\n"
        f"postgres: {{dsn: 'postgresql://u:{CANARY}@db/x'}}\napi: {{token: {CANARY}}}\n"
        f"sinks: {{other: {{token: {CANARY}}}}}\n" + git(f"connection: {{auth: {{token: {CANARY}}}}}")
    )
    config = read(yaml)
    assert CANARY not in f"{config!r} {config} {config.sinks['other']!r} {config.connectors!r} {config.origin!r}"


@pytest.mark.parametrize(
    "yaml",
    [
        f"topics: {{prefix: '{CANARY} x'}}",
        f"postgres: {{dsn: [{CANARY}]}}",
        f"postgres: {{dsn: {{secret_ref: {CANARY}}}}}",
        f"api: {{port: {CANARY}, host: {CANARY}, token: {{a: {CANARY}}}}}",
        git(f"ttl: {CANARY}, enabled: {CANARY}, priority: {CANARY}, entity_types: [{CANARY}]"),
        git(f"sync: {{schedule: {CANARY}}}, filters: {CANARY}, connection: {CANARY}"),
        f"api: {{token: {CANARY}\n",
        f"kafka: {CANARY}",
        "api: {token: '${TOKEN}', port: '${TOKEN}'}",
    ],
)
def test_no_fault_shows_the_value_that_was_given(faults, yaml):
    assert CANARY not in "\n".join(faults(yaml, environ={"TOKEN": CANARY}))


def test_a_fault_carries_no_trace_of_the_library_that_found_it(read):
    with pytest.raises(ConfigError) as refused:
        read("api: {port: x}")
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)
