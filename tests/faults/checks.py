"""What must hold of a quiet installation beyond its content: counts, versions, and what it tells about itself.

Every function returns sentences about what is wrong.
"""

import re
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from tests.faults.stage import CANARY, Stage

_PAYLOAD = r"poisoned|acme\.com/shared"
_UNTOLD = {"a secret": CANARY, "a payload": _PAYLOAD}


def all_of(stage: Stage) -> list[str]:
    return [*accounting(stage), *fallen(stage), *readiness(stage), *told(stage), *reasons(stage)]


def accounting(stage: Stage) -> list[str]:
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


def fallen(stage: Stage) -> list[str]:
    return [f"table entities: {row['said']}" for row in stage.rows("SELECT said FROM fallen")]


def readiness(stage: Stage) -> list[str]:
    """Whoever has nothing left to do is ready."""
    return [f"{name} is not ready" for name, role in stage.roles.items() if not role.is_ready()]


def told(stage: Stage) -> list[str]:
    """No log tells a secret or a payload."""
    return [
        f"{log.name}: it tells {what}"
        for log in stage.logs()
        for what, pattern in _UNTOLD.items()
        if re.search(pattern, log.read_text(errors="replace"))
    ]


def reasons(stage: Stage) -> list[str]:
    """No dead letter's reason tells what was in it."""
    found = [
        dict(message.headers()).get("mainstem-reason", b"").decode()
        for message in stage.read(stage.topics.dead_letters)
    ]
    return [f"dead letters: a reason tells a payload: {reason}" for reason in found if re.search(_PAYLOAD, reason)]
