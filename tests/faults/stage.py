"""An installation to be harmed: embedded services, and every role beside them as a process of its own."""

import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg.conninfo import conninfo_to_dict

from mainstem.embedded import EmbeddedPostgres
from mainstem.embedded.ports import free_ports
from mainstem.installation import Installation
from mainstem.up import prepare
from schemas.topics import Topics
from tests.faults.broker import ListeningKafka
from tests.faults.disks import SmallDisk
from tests.faults.installed import Installed
from tests.faults.load import configured
from tests.faults.metadata import Brokers
from tests.faults.proxy import Network, Proxy, to_port, to_socket
from tests.faults.roles import Role
from tests.patience import eventually

PARTITIONS = 4
SINKS = ("sink-postgres", "sink-incidents")
GUESTS = ("guest-0", "guest-1")
"""Workers that come and go."""
READY_SECONDS = 120.0
CANARY = "canary-Zx81-secret"
"""A password and a token that no log, header or table may show."""
_WATCH = """
CREATE TABLE fallen (said text);
CREATE FUNCTION watch_version() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.version < OLD.version THEN
    INSERT INTO fallen VALUES (OLD.entity_ref || ' fell from ' || OLD.version || ' to ' || NEW.version);
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER watch_version BEFORE UPDATE ON entities FOR EACH ROW EXECUTE FUNCTION watch_version();
"""


class Stage(Installed):
    """Kafka, Postgres, *workers* workers of the processor, both sinks, the API."""

    def __init__(self, *, workers: int = 1) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mst-faults-"))
        self.config_file = self.home / "mainstem.yaml"
        self.topics = Topics(prefix="mainstem", partitions=PARTITIONS, replication_factor=1)
        self.disks = {"kafka": SmallDisk(self.home / "kafka", 200), "postgres": SmallDisk(self.home / "postgres", 400)}
        self.postgres = EmbeddedPostgres(self.home)
        commands = {
            **{f"processor-{n}": ("processor", "run", "--instance", str(n)) for n in range(workers)},
            "sink-postgres": ("sinks", "run", "postgres"),
            "sink-incidents": ("sinks", "run", "incidents"),
            "api": ("api", "run"),
        }
        ports = free_ports(2 * (len(commands) + len(GUESTS)) + 1)
        self.to_postgres = Proxy(ports.pop(), to_socket(self._postgres_socket))
        pairs = {name: (ports.pop(), ports.pop()) for name in (*commands, *GUESTS)}
        self.brokers = {name: Brokers() for name in SINKS}
        """What each sink is told of the brokers. What passes to others is left in whatever pieces it comes in."""
        self.to_kafka = {
            name: Proxy(advertised, to_port(port), edit=self.brokers[name].edit if name in SINKS else None)
            for name, (port, advertised) in pairs.items()
        }
        self.kafka = ListeningKafka(self.home, {name.upper().replace("-", "_"): pair for name, pair in pairs.items()})
        self.roles = {name: self._role(name, *words) for name, words in commands.items()}
        self._network = Network()
        self._enough = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    # -- its life

    def start(self) -> None:
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda service: service.start(), (self.kafka, self.postgres)))
        self.facts = {"kafka": self.kafka.address, "postgres": self.postgres.address}
        self.config_file.write_text(yaml.safe_dump(self._config()))
        prepare(Installation.open(self.config_file, self.home / "d"))
        with psycopg.connect(self.facts["postgres"]) as connection:
            connection.execute(_WATCH)
        for proxy in (self.to_postgres, *self.to_kafka.values()):
            self._network.open(proxy)
        for role in self.roles.values():
            role.start()
        self._keeper.start()
        self.wait_until_ready()

    def stop(self) -> None:
        """End everything and keep the directory."""
        self._enough.set()
        if self._keeper.is_alive():
            self._keeper.join(30)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Role.stop, self.roles.values()))
        self._network.close()
        self.kafka.stop()
        self.postgres.stop()
        for disk in self.disks.values():
            disk.close()

    def remove(self) -> None:
        shutil.rmtree(self.home)

    def role(self, name: str) -> Role:
        """Return the role of that name; of workers that this stage has not, the first."""
        return self.roles.get(name) or self.roles["processor-0"]

    def wait_until_ready(self) -> None:
        self.eventually(lambda: all(role.is_ready() for role in self.roles.values() if role.wanted), READY_SECONDS)

    def eventually(self, found: Callable[[], Any], seconds: float) -> Any:
        """Return what *found* returns as soon as that is true."""
        return eventually(found, seconds, self.words)

    def words(self) -> str:
        """Return the last words of each role."""
        return "; ".join(f"{name}: {role.last_words()}" for name, role in self.roles.items())

    def logs(self) -> list[Path]:
        return [role.log for role in self.roles.values() if role.log.exists()]

    def _keep(self) -> None:
        while not self._enough.wait(0.1):
            for role in self.roles.values():
                role.look_after()

    def guest(self, name: str) -> Role:
        """Return one more worker of the processor, not yet started: one of GUESTS."""
        return self._role(name, "processor", "run", "--instance", name)

    def _role(self, name: str, *words: str) -> Role:
        places = ("--config", str(self.config_file), "--data-dir", str(self.home / "d"))
        environment = {
            "MAINSTEM_API__TOKEN": CANARY,
            "MAINSTEM_API__PORT": "0",
            "MAINSTEM_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{self.to_kafka[name].port}",
            "MAINSTEM_POSTGRES__DSN": f"postgresql://postgres:{CANARY}@127.0.0.1:{self.to_postgres.port}/mainstem",
        }
        return Role(name, (*words, *places), self.home, environment)

    @property
    def _postgres_socket(self) -> str:
        host = conninfo_to_dict(self.postgres.address)["host"]
        return f"{host}/.s.PGSQL.5432"

    def _config(self) -> dict[str, Any]:
        return {
            "kafka": {"bootstrap_servers": self.facts["kafka"]},
            "postgres": {"dsn": self.facts["postgres"]},
            "topics": {"partitions": PARTITIONS, "replication_factor": 1},
            "connectors": configured(),
        }
