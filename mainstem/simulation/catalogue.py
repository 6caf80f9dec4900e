"""A whole catalogue merged twice, in a process of its own: a merge of everything would hold up every other answer."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg
from psycopg import IsolationLevel
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from mainstem.held import HELD, record_of
from mainstem.simulation.difference import Comparison, Tally, difference
from schemas.errors import MergeError
from schemas.statements import statements
from streams import registry
from streams.policy import Policy
from streams.rules import Rule

ROWS_AT_ONCE: Final = 100
"""Held in memory: a record has a megabyte at most, and a few thousand bytes as a rule."""
STATEMENT_MS: Final = 60_000
_NICER: Final = 10
_QUERIES: Final = HELD | statements(Path(__file__).with_name("queries.sql"))

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All that the process is told. Strategies are made anew there: a third party's may not travel."""

    dsn: str
    tenant: str
    comparison: Comparison
    """Its policies have no rules: they stand beside it."""
    rules: tuple[tuple["RuleTold", ...], tuple["RuleTold", ...]]
    touched: frozenset[str] | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTold:
    path: str
    name: str
    options: dict[str, Any]
    kinds: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no tally. *entity_ref*: whose records cannot be merged; None = it may pass."""

    sentence: str
    entity_ref: str | None = None


def task_of(dsn: str, tenant: str, comparison: Comparison, *, touched: frozenset[str] | None, limit: int) -> Task:
    before, after = comparison.before, comparison.after
    bare = replace(comparison, before=_without_rules(before), after=_without_rules(after))
    rules = _told(before), _told(after)
    return Task(dsn=dsn, tenant=tenant, comparison=bare, rules=rules, touched=touched, limit=limit)


def work(task: Task, answer: Connection) -> None:
    """Send the tally, or the failure, and end. Ends by itself as well when the process that asked is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICER)
    try:
        found: Tally | Failure = tally(task)
    except psycopg.Error:
        found = Failure(sentence="the database does not answer; try again")
    except _UnmergedError as error:
        found = Failure(entity_ref=error.entity_ref, sentence=str(error))
    answer.send(found)


def tally(task: Task) -> Tally:
    """Raises psycopg.Error."""
    before, after = task.comparison.before, task.comparison.after
    rules_before, rules_after = ([_rule(told) for told in rules] for rules in task.rules)
    comparison = replace(
        task.comparison,
        before=replace(before, rules=tuple(rules_before)),
        after=replace(after, rules=tuple(rules_after)),
    )
    found = Tally(task.limit)
    for ref, rows in groupby(_rows(task), key=itemgetter("entity_ref")):
        try:
            found.add(ref, difference(map(record_of, rows), comparison))
        except MergeError as error:
            raise _UnmergedError(ref, str(error)) from None
    return found


class _UnmergedError(Exception):
    def __init__(self, entity_ref: str, sentence: str) -> None:
        super().__init__(sentence)
        self.entity_ref = entity_ref


def _rows(task: Task) -> Iterator[Row]:
    """Yield the rows of one snapshot, entity by entity."""
    parameters = {"tenant": task.tenant, "connectors": sorted(task.touched or ())}
    name = "every_record" if task.touched is None else "records_of_touched"
    # A statement ends with the process that asked.
    options = f"-c statement_timeout={STATEMENT_MS} -c client_connection_check_interval=1000"
    with psycopg.connect(task.dsn, options=options, connect_timeout=5, application_name="mainstem-simulate") as session:
        set_json_loads(orjson.loads, session)
        session.isolation_level = IsolationLevel.REPEATABLE_READ
        session.read_only = True
        session.execute(_QUERIES["tenant"], parameters)
        with session.cursor("simulated", row_factory=dict_row) as cursor:
            cursor.execute(_QUERIES[name], parameters)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                _end_if_abandoned()
                yield from rows


def _end_if_abandoned() -> None:
    parent = parent_process()
    if parent is not None and not parent.is_alive():
        raise SystemExit


def _without_rules(policy: Policy) -> Policy:
    # What was made of the rules is left behind as well.
    return Policy(connectors=policy.connectors, revision=policy.revision, outages=policy.outages)


def _told(policy: Policy) -> tuple[RuleTold, ...]:
    return tuple(
        RuleTold(path=rule.path, name=rule.name, options=dict(rule.strategy.options), kinds=rule.kinds)
        for rule in policy.rules
    )


def _rule(told: RuleTold) -> Rule:
    return Rule(path=told.path, name=told.name, strategy=registry.create(told.name, told.options), kinds=told.kinds)
