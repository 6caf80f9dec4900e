"""What whoever runs the API asks: is it alive, is it ready, what does it count."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import httpx2
import orjson
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from mainstem.access import tenants
from mainstem.api.routing import Admitting
from mainstem.monitor import NO_TLS
from schemas.refs import DEFAULT_TENANT

router = APIRouter(include_in_schema=False, route_class=Admitting)

_ANSWER_SECONDS: Final = 2.0
_OWN: Final = "api"


@router.get("/livez")
async def livez() -> dict[str, str]:
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Ready while the tables can be read."""
    reason = await _hindrance(request)
    if reason:
        return JSONResponse({"status": "not ready", "reason": reason}, 503)
    return JSONResponse({"status": "ready"})


async def _hindrance(request: Request) -> str | None:
    """Return the class of what keeps the tables from being read, None where they can be."""
    try:
        # As callers are answered: a user of the database that may not do so is one that answers nobody.
        async with tenants.inside(request.app.state.pool, DEFAULT_TENANT, seconds=_ANSWER_SECONDS) as connection:
            await connection.execute("SELECT 1 FROM entities LIMIT 1")
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is that we are not ready
        return type(error).__name__
    return None


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Our own metrics and, beside a running `up`, those of every role, each with the label `role`."""
    run_dir: Path | None = request.app.state.settings.run_dir
    request.app.state.ready.set(0 if await _hindrance(request) else 1)
    monitors = _monitors(run_dir) if run_dir else {}
    async with httpx2.AsyncClient(timeout=_ANSWER_SECONDS, verify=NO_TLS) as client:
        texts = await asyncio.gather(*(_scrape(client, address) for address in monitors.values()))
    found = dict(zip(monitors, texts, strict=True))
    found[_OWN] = generate_latest(request.app.state.settings.registry).decode()
    registry = CollectorRegistry()
    registry.register(_Gathered(found))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Gathered(Collector):
    """The metrics of several processes as one: families of one name are joined, samples told apart by `role`."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for role, text in self._texts.items():
            for family in text_string_to_metric_families(text):
                joined = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    joined.add_sample(sample.name, {**sample.labels, "role": role}, sample.value)
        return families.values()


def _monitors(run_dir: Path) -> dict[str, str]:
    return dict(_each_monitor(run_dir))


def _each_monitor(run_dir: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(run_dir.glob("*.json")):
        try:
            address = orjson.loads(file.read_bytes())["monitor"]
        except (OSError, orjson.JSONDecodeError, KeyError):
            continue  # it is being started anew
        if file.stem != _OWN:
            yield file.stem, address


async def _scrape(client: httpx2.AsyncClient, address: str) -> str:
    try:
        return (await client.get(f"{address}/metrics")).text
    except httpx2.HTTPError:
        return ""
