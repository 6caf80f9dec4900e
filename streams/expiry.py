"""Life and deadlines: when a record is fresh, stale, dead and forgotten. All moments are epoch ms."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from schemas.records import NEVER, Record
from schemas.topics import TOMBSTONE_MS
from streams.policy import Policy

_FAR_MS: Final = 2**62
"""What lies a hundred million years ahead never comes; times are 64-bit numbers, and a ttl may be as large."""


class Band(IntEnum):
    """Where a record stands in its life. Fresh outranks stale; the dead contribute nothing."""

    FRESH = 0
    STALE = 1
    DEAD = 2


def band(record: Record, policy: Policy, now: float) -> Band:
    """Return the life band of *record* at *now*. A delete is dead from the beginning."""
    if record.is_delete:
        return Band.DEAD
    ttl = policy.ttl(record)
    if ttl == NEVER or now < _reached(record, policy, ttl):
        return Band.FRESH
    grace = policy.of(record.connector).grace
    return Band.STALE if grace and now < _reached(record, policy, ttl + grace) else Band.DEAD


def stale_at(record: Record, policy: Policy) -> float:
    """Return when *record* is no longer fresh; NEVER without a ttl. An outage that lasts is taken to last as long as
    it can count.
    """
    ttl = policy.ttl(record)
    return NEVER if ttl == NEVER else _reached(record, policy, ttl)


def forgotten_at(record: Record, policy: Policy) -> float:
    """Return when *record* is dropped: its tombstone time after its death, or after a delete.

    Until then it outranks older changes of its connector, so that a late one brings nothing back.
    """
    ttl = policy.ttl(record)
    kept = TOMBSTONE_MS if ttl == NEVER else max(TOMBSTONE_MS, ttl * 1000)
    if record.is_delete:
        return max(record.observed_at, record.timestamp) + kept
    return _dead_at(record, policy, ttl) + kept


def next_deadline(records: Iterable[Record], policy: Policy, after: float) -> float:
    """Return the first moment later than *after* at which a record becomes stale, dies or is forgotten."""
    deadline: float = _FAR_MS
    for record in records:
        for moment in _boundaries(record, policy):
            if after < moment < deadline:
                deadline = moment
    return NEVER if deadline == _FAR_MS else deadline


def _boundaries(record: Record, policy: Policy) -> tuple[float, ...]:
    if record.is_delete:
        return (forgotten_at(record, policy),)
    ttl = policy.ttl(record)
    if ttl == NEVER:
        return ()
    return (_reached(record, policy, ttl), _dead_at(record, policy, ttl), forgotten_at(record, policy))


def _dead_at(record: Record, policy: Policy, ttl: float) -> float:
    return _reached(record, policy, ttl + policy.of(record.connector).grace)


def _reached(record: Record, policy: Policy, age: float) -> float:
    """Return when *record* is *age* seconds old by its own clock, which stands still in outages up to max_stale."""
    moment = record.observed_at + age * 1000
    outages = policy.outages.get(record.connector)
    if not outages or moment == NEVER:
        return moment
    allowance = policy.of(record.connector).max_stale * 1000
    for begin, end in outages:
        began = max(begin, record.observed_at)
        if began >= moment or allowance <= 0:
            break
        stood = min(max(end - began, 0), allowance)
        moment += stood
        allowance -= stood
    return moment
