"""One round: an installation, load, the faults of a plan, quiet, checks."""

import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.faults.ledger import Ledger
from tests.faults.load import Load, draw, last_deadline
from tests.faults.plan import Plan
from tests.faults.stage import CANARY, Stage
from tests.integration.kill.changes import CONNECTORS
from tests.integration.kill.kafka_io import Publisher

QUIET_SECONDS = 120.0


@dataclass
class Outcome:
    """What one round came to."""

    plan: Plan
    wrong: list[str]
    """Sentences about differences; none when all is right."""
    struck: list[str] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    home: Path | None = None
    """What is left of a round that went wrong."""


def play(plan: Plan) -> Outcome:
    """Play the round of *plan*. The directory of a round without a difference is removed."""
    stage, outcome = Stage(workers=plan.workers), Outcome(plan, [])
    try:
        try:
            stage.start()
            _harass(stage, plan, outcome)
        finally:
            outcome.endings = [text for role in stage.roles.values() for text in role.endings]
            stage.stop()
    except Exception as error:  # noqa: BLE001 - whatever it is, the next round begins, and this one is kept
        outcome.wrong.append(f"the round broke: {type(error).__name__}: {error}")
    if outcome.wrong:
        outcome.home = stage.home
    else:
        stage.remove()
    return outcome


def _harass(stage: Stage, plan: Plan, outcome: Outcome) -> None:
    publisher = Publisher(stage.facts["kafka"], stage.topics, draw(random.Random(f"load {plan.seed}")))
    load = Load(publisher, plan.rate)
    load.start()
    for step in plan.steps:
        time.sleep(step.rest)
        outcome.struck.append(step.fault.strike(stage))
    time.sleep(1.0)
    load.finish()
    begin = time.monotonic()
    _wait_until_quiet(stage)
    outcome.figures["quiet after s"] = round(time.monotonic() - begin)
    time.sleep(max(0.0, last_deadline(publisher.published) + 2.5 - time.time()))
    _wait_until_quiet(stage)
    ledger = Ledger(stage, publisher.published, time.time_ns() // 1_000_000)
    outcome.wrong += [*ledger.wrong(), *_accounting(stage), *_fallen(stage), *_told(stage)]
    outcome.figures.update(ledger.topics.figures)
    outcome.figures["published"] = len(publisher.published)


def _wait_until_quiet(stage: Stage) -> None:
    seen: dict[str, int] = {}

    def is_quiet() -> bool:
        seen.clear()
        seen.update(stage.lags(CONNECTORS))
        return not any(seen.values())

    try:
        stage.eventually(is_quiet, QUIET_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"lag {seen} {error}") from None


def _accounting(stage: Stage) -> list[str]:
    """Of each worker's last life: records = merged + superseded + forwarded + dead-lettered + control."""
    wrong = []
    for name, role in stage.roles.items():
        answer = role.asked("/metrics") if name.startswith("processor") else None
        counted: Counter[str] = Counter()
        for family in text_string_to_metric_families(answer.text if answer else ""):
            for sample in family.samples:
                counted[sample.name] += int(sample.value)
        records, outcomes = (counted[f"mainstem_processor_{what}_total"] for what in ("records", "outcomes"))
        if records != outcomes:
            wrong.append(f"accounting: {name} took {records} records and tells what became of {outcomes}")
        if counted["mainstem_processor_expired_unread_total"]:
            wrong.append(f"accounting: {name} found records expired unread")
    return wrong


def _fallen(stage: Stage) -> list[str]:
    return [f"table entities: {row['said']}" for row in stage.rows("SELECT said FROM fallen")]


def _told(stage: Stage) -> list[str]:
    """No log tells a secret, a payload, or a fault that nobody classified."""
    patterns = {"a secret": CANARY, "a payload": r"poisoned|acme\.com/shared", "a trace": r"Traceback \(most recent"}
    return [
        f"{log.name}: it tells {what}"
        for log in stage.logs()
        for what, pattern in patterns.items()
        if re.search(pattern, log.read_text(errors="replace"))
    ]
