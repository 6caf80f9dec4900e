"""What can be known of docker-compose.yml and the image without an engine to run them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mainstem.configuration.loading import load
from mainstem.installation import Installation
from sources.documents import read_documents
from sources.publisher import draft
from tests.command_line import read_arguments, roles

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"
MOUNTED = "/etc/mainstem"
ENDS = ("topics", "migrate")
BUILT = "deploy/Dockerfile"


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(FILE.read_text())["services"]


@pytest.fixture(scope="module")
def ours(services):
    return {name: each for name, each in services.items() if each.get("build", {}).get("dockerfile") == BUILT}


@pytest.fixture
def config(ours):
    """The configuration as the containers read it: with the defaults that the file gives their variables."""
    environ = {name: with_defaults(value) for name, value in ours["api"]["environment"].items()}
    return load(ROOT / "deploy/compose/mainstem.yaml", environ=environ)


def with_defaults(text):
    """Return *text* as it is where no variable of the host is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_the_file_is_what_the_compose_specification_asks_for():
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]

    found = subprocess.run(checker, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr


def test_every_published_port_is_on_loopback(services):
    published = [port for each in services.values() for port in each.get("ports", [])]

    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    assert len(published) == 5


def test_every_role_has_a_service(ours, config):
    sinks = {("sinks", "run", name) for name, sink in config.sinks.items() if sink.enabled}
    others = {(role, "run") for role in roles() - {"sinks"}}

    found = {tuple(each["command"])[: 3 if each["command"][0] == "sinks" else 2] for each in ours.values()}

    assert sinks | others | {("topics", "create"), ("db", "migrate")} == found


def test_every_command_is_one_of_ours_and_reads_the_mounted_file(ours):
    mounts = {f"./deploy/compose:{MOUNTED}:ro"}

    for name, each in ours.items():
        assert read_arguments(each["command"])["config"] == Path(MOUNTED) / "mainstem.yaml", name
        assert mounts <= set(each["volumes"]), name


def test_the_mounted_configuration_can_be_used(config):
    Installation(config=config, data_dir=Path("none"), running=None).check_plugins()

    assert config.warnings == ()


def test_servers_are_where_the_configuration_looks_for_them(services, config):
    kafka, postgres = services["kafka"], services["postgres"]
    advertised = kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]

    assert f"//{config.kafka.bootstrap_servers}," in advertised
    settings = {name: with_defaults(value) for name, value in postgres["environment"].items()}
    dsn = "postgresql://{POSTGRES_USER}:{POSTGRES_PASSWORD}@postgres:5432/{POSTGRES_DB}".format(**settings)
    assert dsn == config.postgres.dsn.get_secret_value()


def test_the_api_is_published_where_it_listens_and_asks_for_a_token(services, config):
    assert services["api"]["ports"] == [f"127.0.0.1:8080:{config.api.port}"]
    assert config.api.token is not None


def test_everything_that_stays_says_whether_it_is_well_and_is_started_again(services):
    staying = {name: each for name, each in services.items() if name not in ENDS}

    assert {name for name, each in staying.items() if "healthcheck" not in each} == set()
    assert {each["restart"] for each in staying.values()} == {"unless-stopped"}
    assert {services[name]["restart"] for name in ENDS} == {"no"}


def test_monitors_are_asked_on_the_port_that_they_are_told_to_take(ours):
    monitored = {name: each for name, each in ours.items() if "--metrics-port" in each["command"]}

    for name, each in monitored.items():
        parameters = read_arguments(each["command"])
        asked = f"http://127.0.0.1:{parameters['metrics_port']}/readyz"
        assert asked in each["healthcheck"]["test"][-1], name
        assert parameters["metrics_host"] == "0.0.0.0", name
    assert len(monitored) == len(ours) - len(ENDS) - 1  # the API answers on its own port


def test_nothing_waits_for_what_is_not_there_and_each_condition_can_come_true(services):
    for each in services.values():
        for other, how in each.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ENDS else "service_healthy"
            assert how == {"condition": wanted}


def test_no_variable_of_a_container_overrides_a_key(ours):
    assert [name for each in ours.values() for name in each["environment"] if name.startswith("MAINSTEM_")] == []


def test_state_that_must_outlive_a_container_lies_in_a_named_volume(services):
    declared = yaml.safe_load(FILE.read_text())["volumes"]

    assert set(declared) == {"kafka", "postgres", "processor", "prometheus"}
    assert "postgres:/var/lib/postgresql" in services["postgres"]["volumes"]
    data_dir = read_arguments(services["processor"]["command"])["data_dir"]
    assert f"processor:{data_dir}" in services["processor"]["volumes"]
    assert "kafka:" + services["kafka"]["environment"]["KAFKA_LOG_DIRS"] in services["kafka"]["volumes"]


def test_the_sample_catalogue_is_whole(config):
    (connector,) = [each for each in config.connectors if each.type == "git"]
    file = config.origin.base_dir / connector.connection["path"] / "catalog-info.yaml"

    documents = list(read_documents(file.name, file.read_bytes()))

    assert [draft({"entity": each.entity}, "git", is_complete=True).entity_ref for each in documents] == [
        "component:default/pay",
        "system:default/shop",
        "group:default/team-pay",
    ]


def test_the_image_is_built_from_what_the_ignore_file_lets_through():
    dockerfile = (ROOT / BUILT).read_text()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    copied = {
        name
        for line in dockerfile.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    }

    assert allowed == copied
    assert {name for name in copied if not (ROOT / name).exists()} == set()


def test_the_image_runs_the_command_line_as_nobody_special():
    runtime = (ROOT / BUILT).read_text().rpartition("\nFROM ")[2]

    assert 'ENTRYPOINT ["mainstem"]' in runtime
    assert "\nUSER mainstem\n" in runtime
    assert "uv" not in runtime


def test_every_file_that_is_mounted_exists_and_can_be_read(services):
    mounted = {volume.split(":")[0] for each in services.values() for volume in each.get("volumes", ())}
    folders = [ROOT / name for name in mounted if name.startswith("./")]

    read = [file for folder in folders for file in folder.rglob("*") if file.suffix in {".yml", ".yaml", ".json"}]

    assert [folder for folder in folders if not folder.is_dir()] == []
    assert all(list(yaml.safe_load_all(file.read_text())) for file in read)  # JSON is YAML
    assert len(read) > 6


def test_every_image_that_is_not_built_has_a_version(services):
    images = [each["image"] for each in services.values() if "build" not in each]

    assert [image for image in images if not re.fullmatch(r"[\w/]+:v?\d[\w.]*", image)] == []


def test_prometheus_scrapes_every_role_where_it_answers(services, ours, config):
    (job,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    scraped = {target for each in job["static_configs"] for target in each["targets"]}

    ports = {name: read_arguments(each["command"]).get("metrics_port") for name, each in ours.items()}

    assert scraped == {f"{name}:{ports[name] or config.api.port}" for name in ours if name not in ENDS}
    assert "./deploy/prometheus:/etc/prometheus:ro" in services["prometheus"]["volumes"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in services["prometheus"]["command"]


def test_grafana_finds_prometheus_and_the_dashboard(services):
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/mainstem.yml").read_text())["providers"]
    path = provider["options"]["path"]

    assert source["url"] == "http://prometheus:9090"
    assert services["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]
    assert {
        f"./deploy/grafana/dashboards:{path}:ro",
        "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro",
    } == set(services["grafana"]["volumes"])
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (str(home.parent), (ROOT / "deploy/grafana/dashboards" / home.name).exists()) == (path, True)
