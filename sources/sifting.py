"""One page, sifted: what of it is published, what was seen, what is refused. Pure: it decides, `run.py` acts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.errors import Skippable
from sources.base import Page
from sources.ledger import Known, Said
from sources.sieve import Candidate, Prepared, Sieve

NO_REFERENCE = "it cannot be told which entity this is about: kind or name is missing"


@dataclass(slots=True)
class Sifted:
    """What a page comes to. *seen* is reference → scope of what needs not be published."""

    prepared: list[Prepared] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    spared: dict[str, str] = field(default_factory=dict)
    """Reference → scope of what was refused: what was published of it before stands, as the last known good."""
    withdrawn: list[str] = field(default_factory=list)
    refusals: list[tuple[str, str]] = field(default_factory=list)
    """(place, reason) of what cannot be published."""
    guarded: set[str] = field(default_factory=set)
    """Scopes in which something could not be understood: what is missing there may be that."""
    filtered: int = 0
    again: int = 0
    same: int = 0
    """What the ledger itself found to be as it was: it is in none of the others."""
    unchanged: int = 0
    """That, and what else has not changed."""

    @property
    def fresh(self) -> int:
        """How many entities of the page the run had not seen before."""
        return len(self.prepared) + len(self.seen) + self.same


class Sighted(NamedTuple):
    """A page, the entities that its items are about, and the beginning of what it comes to."""

    page: Page
    found: list[Candidate]
    result: Sifted


def sighted(page: Page, sieve: Sieve) -> Sighted:
    return Sighted(page, *candidates(page, sieve))


def candidates(page: Page, sieve: Sieve) -> tuple[list[Candidate], Sifted]:
    """Return the items of *page* with the entities that they are about, and the beginning of the result."""
    found, result = list[Candidate](), Sifted()
    for refused in page.refused:
        result.refusals.append((refused.place, refused.reason))
        result.guarded.add(refused.scope)
    for item in page.items:
        candidate = sieve.candidate(item)
        if candidate is None:
            result.refusals.append((item.place, NO_REFERENCE))
            result.guarded.add(item.scope)
        else:
            found.append(candidate)
    return found, result


class LeftOut:
    """What a run filtered out or refused, so that of pages that overlap each entity counts once: what is counted twice
    would stand for one that is missing. In memory, up to *limit*; after that, each time that it is met.
    """

    def __init__(self, limit: int = 200_000) -> None:
        self._met, self._limit = set[int](), limit

    def is_new(self, ref: str) -> bool:
        met = hash(ref)
        if met in self._met:
            return False
        if len(self._met) < self._limit:
            self._met.add(met)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a page is sifted. *is_full*: what has not changed is published as well."""

    now_ms: int
    is_full: bool = False
    left_out: LeftOut = field(default_factory=LeftOut)
    """Of the run so far."""
    silent: set[str] = field(default_factory=set)
    """Of the run so far: keys of the mapping's expressions that have found nothing yet."""


def said(found: Sequence[Candidate], sieve: Sieve, moment: Moment) -> Said:
    """Return what the ledger has to compare: what is equal there needs no look from here."""
    refs = [each.entity_ref for each in found]
    # Of what a page holds twice, the first counts: the ledger could not tell which one that is.
    if moment.is_full or len(set(refs)) < len(refs):
        return asking(refs)
    scopes = [each.item.scope for each in found]
    if not all(map(_can_be_stored, set(scopes))):
        return asking(refs)
    hashes = [each.content_hash for each in found]
    return Said(refs=refs, hashes=hashes, scopes=scopes, lives_from=sieve.lives_from(moment.now_ms))


def asking(refs: Sequence[str]) -> Said:
    """Ask for all that is known of *refs*."""
    return Said(refs=refs, hashes=[""] * len(refs), scopes=[""] * len(refs), lives_from=0)


def sift(
    found: Sequence[Candidate], known: Mapping[str, Known | None], sieve: Sieve, moment: Moment, result: Sifted
) -> Sifted:
    """Return *result* with what becomes of *found*, given what the ledger knows of them. What the ledger found to be
    as it was is not among *found*.

    Of an entity that a run meets twice the first counts: were it the last, two places that both hold it would take
    turns in every run.
    """
    taken = set[str]()
    for each in found:
        ref, before = each.entity_ref, known.get(each.entity_ref)
        if each.is_delete:
            result.withdrawn.append(ref)
            # What this run brought stays: only one that reads everything can tell which of the two is so.
            result.again += ref in taken or (before is not None and before.is_seen)
            continue
        verdict = "again" if ref in taken else sieve.verdict(each, before, now_ms=moment.now_ms)
        taken.add(ref)
        if verdict == "again":
            result.again += 1
        elif verdict == "unchanged" and not moment.is_full:
            result.seen[ref] = each.item.scope
            result.unchanged += 1
        else:
            _prepare(each, before, sieve, moment, result)
    return result


def _prepare(each: Candidate, before: Known | None, sieve: Sieve, moment: Moment, result: Sifted) -> None:
    try:
        prepared = sieve.prepared(each, before, moment.now_ms, moment.silent)
    except Skippable as error:
        if moment.left_out.is_new(each.entity_ref):
            result.refusals.append((each.item.place, str(error)))
        result.spared[each.entity_ref] = each.item.scope
        return
    if prepared is None:
        result.filtered += moment.left_out.is_new(each.entity_ref)
    else:
        result.prepared.append(prepared)


def _can_be_stored(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text))
