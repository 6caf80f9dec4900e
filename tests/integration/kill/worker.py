"""One processor worker as a process of its own, to be stopped and killed.

usage: worker.py JSON, an object with bootstrap, prefix, partitions, data_dir, session_timeout and connectors (id to the
fields of ConnectorPolicy), and, where wanted, revision (of the policy), deadly (name of an entity on which the process
is killed), broken (one on which a merge raises what nobody expects), standbys, recovery_stands_still (seconds after
which a recovery that reads nothing is given up; it reads nothing)

Ends with 0 on SIGTERM, with 1 otherwise. Its last line is a JSON object: why it ended by itself, and what it counted.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.registry import CollectorRegistry

from mainstem import log
from schemas.errors import MainstemError
from schemas.metrics import ProcessorMetrics
from schemas.topics import Topics
from streams import processor, transport, upkeep
from streams.policy import ConnectorPolicy, Policy
from streams.worker import Worker, WorkerSettings


async def work(worker: Worker, registry: CollectorRegistry) -> None:
    stop, reason = asyncio.Event(), ""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, _tell_tasks)
    try:
        await worker.run(stop)
    except MainstemError as error:
        reason = str(error)
    print(json.dumps({"ended": reason, **_counted(registry)}), flush=True)
    # Never through the end of asyncio.run: it waits for tasks that a crash of Faust has left, at times for ever.
    os._exit(1 if reason else 0)


def _tell_tasks() -> None:
    """Where each task waits: what asyncio prints of a stack is its outermost frame alone."""
    for task in asyncio.all_tasks():
        awaited, frames = task.get_coro(), []
        while getattr(awaited, "cr_frame", None):
            frames.append(f"{awaited.cr_code.co_qualname}:{awaited.cr_frame.f_lineno}")
            awaited = awaited.cr_await
        print("waits:", " > ".join(frames), flush=True)


def main() -> None:
    given = json.loads(sys.argv[1])
    log.configure(json=True, level=20)
    topics = Topics(prefix=given["prefix"], partitions=given["partitions"], replication_factor=1)
    policies = {name: ConnectorPolicy(**fields) for name, fields in given["connectors"].items()}
    registry = CollectorRegistry()
    if "deadly" in given:
        _fail_on(given["deadly"], lambda: os.kill(os.getpid(), signal.SIGKILL))
    if "broken" in given:
        _fail_on(given["broken"], _break)
    settings = WorkerSettings(
        bootstrap_servers=given["bootstrap"],
        topics=topics,
        sources=frozenset(map(topics.changes, policies)),
        policy=Policy(connectors=policies, revision=given.get("revision", 0)),
        data_dir=Path(given["data_dir"]),
        standbys=given.get("standbys", 0),
        session_timeout=given["session_timeout"],
    )
    if "recovery_stands_still" in given:
        upkeep.RECOVERY_SECONDS = given["recovery_stands_still"]
        transport.RunConsumer._messages = lambda *_: iter(())
    asyncio.run(work(Worker(settings, metrics=ProcessorMetrics(registry)), registry))


def _break() -> None:
    raise ZeroDivisionError


def _fail_on(name: str, fail: Callable[[], None]) -> None:
    """Call *fail* whenever the entity of that name is merged: end as a fault in native code would, or raise."""
    merge = processor.merge

    def failing(records: Any, *args: Any, **kwargs: Any) -> Any:
        held = list(records)
        if any(record.body["entity"]["metadata"]["name"] == name for record in held if not record.is_delete):
            fail()
        return merge(held, *args, **kwargs)

    processor.merge = failing


def _counted(registry: CollectorRegistry) -> dict[str, int]:
    counted = {"records": 0}
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name in ("mainstem_processor_records_total", "mainstem_processor_outcomes_total"):
                name = sample.labels.get("outcome", "records")
                counted[name] = counted.get(name, 0) + int(sample.value)
    return counted


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    main()
