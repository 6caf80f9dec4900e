"""A real Prometheus beside a running installation, with the scrape configuration and the rules that we ship."""

import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.patience import eventually
from tests.prometheus import tool

SHIPPED = Path(__file__).parents[2] / "deploy/prometheus"


class Prometheus:
    """Scrapes the API at *address* with `prometheus-up.yml`, every three seconds instead of fifteen."""

    def __init__(self, home: Path, address: str) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        shutil.copytree(SHIPPED / "rules", home / "rules")
        config = yaml.safe_load((SHIPPED / "prometheus-up.yml").read_text())
        # A role that hangs keeps the API waiting for two seconds.
        config["global"] = {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"}
        (job,) = config["scrape_configs"]
        job["static_configs"][0]["targets"] = [address.removeprefix("http://")]
        (home / "prometheus.yml").write_text(yaml.safe_dump(config))

    def start(self) -> "Prometheus":
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"http://127.0.0.1:{free.getsockname()[1]}"
        command = [
            tool("prometheus"),
            f"--config.file={self._home / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._home / 'data'}",
            f"--web.listen-address={self._address.removeprefix('http://')}",
            "--log.level=warn",
        ]
        with (self._home / "log").open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        eventually(self._is_ready, 30, self.tail)
        return self

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of *expression* now. An expression that cannot be evaluated fails the test."""
        answer = httpx2.get(f"{self._address}/api/v1/query", params={"query": expression}, timeout=20).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        return list(answer["data"]["result"])

    def value(self, expression: str) -> float | None:
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def alerts(self) -> list[Mapping[str, Any]]:
        """Return the alerts that are pending or firing."""
        return list(httpx2.get(f"{self._address}/api/v1/alerts", timeout=20).json()["data"]["alerts"])

    def alert(self, name: str, **labels: str) -> Mapping[str, Any] | None:
        wanted = {"alertname": name, **labels}
        return next((alert for alert in self.alerts() if wanted.items() <= alert["labels"].items()), None)

    def metrics(self) -> set[str]:
        """Return the names of everything that was ever scraped or recorded."""
        answer = httpx2.get(f"{self._address}/api/v1/label/__name__/values", timeout=20).json()
        return set(answer["data"])

    def tail(self) -> str:
        return (self._home / "log").read_text(errors="replace")[-3000:]

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self._address}/-/ready", timeout=2).status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False
