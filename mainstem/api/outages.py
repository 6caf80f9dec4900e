"""The policy by which records merge now: what is configured, and when connectors could not reach their sources."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fastapi import Request

from mainstem.api.database import ask
from streams.outages import Outages
from streams.policy import Policy


async def present_policy(request: Request) -> Policy:
    """Return the policy of this process, with the outages that the processor has heard of."""
    configured: Policy = request.app.state.settings.policy
    intervals = outages_of(row["words"] for row in await ask(request, "outages")).intervals
    return replace(configured, outages=intervals) if intervals else configured


def outages_of(partitions: Iterable[Mapping[str, Any]]) -> Outages:
    """Return what was said to any partition: it is said to all of them, and may be on its way to some."""
    words: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for told in partitions:
        for connector, said in told.items():
            words[connector].update((at, op) for at, op in said)
    return Outages({connector: tuple(sorted(said)) for connector, said in words.items()})
