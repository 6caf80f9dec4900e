"""What of a batch has to be said to Backstage, decided from what it has confirmed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sinks.backstage.emissions import Change, Held
from sinks.backstage.line import Verdict


@dataclass(slots=True)
class Plan:
    """What becomes of the changes of one shard; what is older than what is held is in none of the lists."""

    send: list[Change] = field(default_factory=list)
    judged: list[tuple[Change, Verdict]] = field(default_factory=list)
    """Of these the verdict is known without asking."""
    unchanged: list[Change] = field(default_factory=list)


def plan(changes: Iterable[Change], held: Mapping[str, Held]) -> Plan:
    """Decide. A version that was refused, and that comes again, is asked about again."""
    made = Plan()
    for change in changes:
        found = held.get(change.ref)
        if found is not None and not _is_news(change, found):
            continue
        if change.content is None:
            if found is None or not found.has_content:
                made.judged.append((change, Verdict(state="removed")))
            else:
                made.send.append(change)
        elif change.faults is not None:
            made.judged.append((change, Verdict(state="refused", reason=change.faults)))
        elif found is not None and _is_held(change, found):
            made.unchanged.append(change)
        else:
            made.send.append(change)
    return made


def _is_news(change: Change, held: Held) -> bool:
    if held.version == change.version:
        # An end has a version of its own: one that was removed at this version was swept, and is there all the same.
        return held.state == "refused" or (held.state == "removed" and change.content is not None)
    return held.version < change.version


def _is_held(change: Change, held: Held) -> bool:
    return held.state == "applied" and held.content_hash == change.content_hash and held.shard == change.shard
