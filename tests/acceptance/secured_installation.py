"""An installation on a Kafka that lets nobody do what is not allowed: each role has a user and a configuration."""

import json
import subprocess
import sys
from functools import partial
from typing import Any

from tests.acceptance.running import ENVIRONMENT, run, write_config
from tests.acceptance.secured_kafka import PASSWORD, SecuredKafka
from tests.patience import ended, eventually

PREFIX = "mainstem-"
SCRAM = {"processor": "SCRAM-SHA-512", "sink-postgres": "SCRAM-SHA-256"}
USERS = (
    "admin",
    "processor",
    "api",
    "operator",
    "connector-git",
    "connector-team-pay",
    "sink-postgres",
    "sink-incidents",
)
RUNNING = {
    "processor": "processor run",
    "sink-postgres": "sinks run postgres",
    "sink-incidents": "sinks run incidents",
    "connector-git": "connectors run",
    "api": "api run",
}
COMPONENT = """\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: ledger}
spec: {type: service, lifecycle: production, owner: team-books}
"""


class Secured:
    """An installation on *kafka* with nothing allowed but what is printed; each role has a configuration of its own."""

    def __init__(self, kafka: SecuredKafka, dsn: str) -> None:
        self.kafka = kafka
        self.home = kafka.home / "mainstem"
        (self.home / "catalog").mkdir(parents=True)
        (self.home / "catalog" / "ledger.yaml").write_text(COMPONENT)
        self.dsn = dsn
        self.said: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        for role in USERS:
            self._configure(role)

    def _configure(self, role: str) -> None:
        section = self.kafka.sasl(f"{PREFIX}{role}", mechanism=SCRAM.get(role, "PLAIN"))
        section["sasl"]["password"] = {"secret_ref": "env:KAFKA_PASSWORD"}
        git = {"connector_id": "git", "type": "git", "connection": {"path": "catalog"}}
        team = {"connector_id": "team-pay", "type": "external", "asserts_existence": False}
        settings = {
            "kafka": section,
            "postgres": {"dsn": self.dsn},
            "topics": {"partitions": 2, "replication_factor": 1},
            "connectors": [git, team],
        }
        write_config(self.home / f"{role}.yaml", settings)

    def options(self, role: str) -> list[str]:
        return ["--config", str(self.home / f"{role}.yaml"), "--data-dir", str(self.home / role)]

    def run(self, role: str, *arguments: str, **options: Any) -> Any:
        """Run a command as *role*."""
        ended = run(*arguments, *self.options(role), environment={"KAFKA_PASSWORD": PASSWORD}, **options)
        self.said += [ended.stdout, ended.stderr]
        return ended

    def start(self, role: str, command: str) -> None:
        (self.home / role).mkdir(exist_ok=True)
        line = [sys.executable, "-m", "mainstem", *command.split(), *self.options(role)]
        line += ["--run-file", str(self.home / role / "run.json")]
        with (self.home / role / "role.log").open("wb") as log:
            environment = {**ENVIRONMENT, "KAFKA_PASSWORD": PASSWORD}
            self._processes.append(subprocess.Popen(line, env=environment, stdout=log, stderr=log))

    def monitor(self, role: str) -> str:
        """Return where the role answers, once it does."""
        file = self.home / role / "run.json"
        eventually(file.exists, said=partial(self.log, role))
        return str(json.loads(file.read_bytes())["monitor"])

    def log(self, role: str) -> str:
        return (self.home / role / "role.log").read_text()[-4000:]

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            ended(process, 30)
