"""One round: an installation, load, the faults of a plan, quiet, checks."""

import random
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import checks
from tests.faults.ledger import Ledger
from tests.faults.load import DoubtfulPublisher, Load, draw, last_deadline
from tests.faults.plan import Plan
from tests.faults.stage import Stage
from tests.integration.kill.changes import CONNECTORS

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
    except BaseException:
        stage.remove()
        raise
    if outcome.wrong:
        outcome.home = stage.home
    else:
        stage.remove()
    return outcome


def _harass(stage: Stage, plan: Plan, outcome: Outcome) -> None:
    publisher = DoubtfulPublisher(stage.facts["kafka"], stage.topics, draw(random.Random(f"load {plan.seed}")))
    load = Load(publisher, plan.rate)
    load.start()
    outcome.struck = _strike_all(stage, plan)
    time.sleep(1.0)
    load.finish()
    publisher.find_doubtful(stage)
    begin = time.monotonic()
    _wait_until_quiet(stage)
    outcome.figures["quiet after s"] = round(time.monotonic() - begin)
    time.sleep(max(0.0, last_deadline(publisher.published) + 2.5 - time.time()))
    _wait_until_quiet(stage)
    ledger = Ledger(stage, publisher.published, time.time_ns() // 1_000_000)
    outcome.wrong += [*ledger.wrong(), *checks.all_of(stage)]
    outcome.figures.update(ledger.topics.figures)
    outcome.figures["published"] = len(publisher.published)
    outcome.figures["not acknowledged"] = len(publisher.doubtful)


def _strike_all(stage: Stage, plan: Plan) -> list[str]:
    with ThreadPoolExecutor() as pool:
        strikes: list[Future[str]] = []
        for step in plan.steps:
            if not step.beside:
                wait(strikes)
            time.sleep(step.rest)
            strikes.append(pool.submit(step.fault.strike, stage))
    return [strike.result() for strike in strikes]


def _wait_until_quiet(stage: Stage) -> None:
    seen: dict[str, int] = {}

    def is_quiet() -> bool:
        seen.clear()
        seen.update(stage.lags(CONNECTORS))
        # Whoever was cut off or killed may be on its way back while the others have nothing left to do.
        return not any(seen.values()) and all(role.is_ready() for role in stage.roles.values())

    try:
        stage.eventually(is_quiet, QUIET_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"lag {seen} {error}") from None
