"""Dead letters as people and programs read them. Whatever came from outside is escaped."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mainstem.dead_letters.decisions import Decision
from mainstem.dead_letters.desk import Found, Outcome
from mainstem.dead_letters.letters import DeadLetter
from mainstem.terminal import UNBOUNDED, cell, visible

PAGE: Final = 100
_WIDTHS: Final = {"id": 9, "set aside": 19, "from": 24, "stage": 15, "key": 30}
_WIDE: Final = 150
"""Columns of a terminal from which on these and the reason have room beside each other."""


def table(found: Iterable[Found], console: Console) -> None:
    """Print rows a page at a time, as they come."""
    rows, is_first = iter(found), True
    while page := list(islice(rows, PAGE)):
        shown = Table(box=box.SIMPLE if is_first else None, show_header=is_first, padding=(0, 1))
        is_wide, is_unbounded = console.width >= _WIDE, console.width >= UNBOUNDED
        for name in (*_WIDTHS, "reason") if is_wide else ("id", "set aside", "what"):
            width = _WIDTHS.get(name)
            shown.add_column(name, width=None if is_unbounded else width, min_width=width, overflow="fold")
        for letter, decision in page:
            cells = [cell(each) for each in _cells(letter, decision)]
            shown.add_row(*(cells if is_wide else _beneath(cells)))
        console.print(shown)
        is_first = False
    if is_first:
        console.print("no dead letters match")


def as_json(letter: DeadLetter, decision: Decision | None, *, whole: bool = False) -> str:
    """Return one line: never the value, unless *whole*."""
    row: dict[str, Any] = {
        "id": str(letter.id),
        "set_aside_at": _time(letter.at),
        "origin": None,
        "key": None if letter.key is None else letter.key_text,
        "bytes": len(letter.value or b""),
        "decision": None,
    }
    if letter.aside is not None:
        facts = asdict(letter.aside)
        row["origin"] = {name: facts.pop(name) for name in ("topic", "partition", "offset", "timestamp")}
        row |= facts
    if decision is not None:
        row["decision"] = {"verdict": decision.verdict, "by": decision.by, "at": decision.at.isoformat()}
    if whole:
        row |= {
            "headers": [[name, None if value is None else _text(value)] for name, value in letter.headers],
            "key_base64": _base64(letter.key),
            "value": None if letter.value is None else _text(letter.value),
            "value_base64": _base64(letter.value),
        }
    # ASCII alone: a terminal obeys nothing in it.
    return json.dumps(row)


def show_letter(letter: DeadLetter, decision: Decision | None) -> str:
    """Return all of it, for people."""
    return "\n".join(visible(line, lines=True) for line in _lines(letter, decision))


def outcome_row(outcome: Outcome, verdict: str, *, is_json: bool) -> str:
    """Return what became of one letter."""
    letter, receipt = outcome.letter, outcome.receipt
    if is_json:
        to = None if receipt is None else {name: getattr(receipt, name) for name in ("topic", "partition", "offset")}
        return json.dumps({"id": str(letter.id), "verdict": verdict, "key": letter.key_text, "to": to})
    place = "" if receipt is None else f" to {receipt.topic} partition {receipt.partition} offset {receipt.offset}"
    return visible(f"{letter.id} {letter.key_text} {verdict}{place}")


def _cells(letter: DeadLetter, decision: Decision | None) -> Iterator[str]:
    aside = letter.aside
    yield str(letter.id)
    yield _time(letter.at)[:19]
    yield aside.topic if aside else "?"
    yield aside.stage if aside else "?"
    yield letter.key_text
    decided = f" [{decision.verdict} by {decision.by}]" if decision else ""
    yield (aside.reason if aside else "its headers do not say") + decided


def _beneath(cells: Sequence[Text]) -> Sequence[Text]:
    """Put what has no room beside the others into one cell, each on a line of its own."""
    number, at, origin, stage, key, reason = cells
    return number, at, Text("\n").join([Text(" of ").join([stage, origin]), key, reason])


def _lines(letter: DeadLetter, decision: Decision | None) -> Iterator[str]:
    yield f"{letter.id}  set aside {_time(letter.at)}"
    if letter.aside is not None:
        aside = letter.aside
        yield f"origin    {aside.origin}  {_time(aside.timestamp)}"
        yield f"stage     {aside.stage}"
        yield f"error     {aside.error}, attempt {aside.attempts}"
        yield f"reason    {aside.reason}"
    if decision is not None:
        yield f"decision  {decision.verdict} by {decision.by} at {decision.at.isoformat(timespec='seconds')}"
    for name, value in letter.headers:
        yield f"header    {name}: {'' if value is None else _text(value)}"
    yield f"key       {'(none)' if letter.key is None else letter.key_text}"
    yield f"value     {len(letter.value or b'')} bytes"
    yield "" if letter.value is None else _text(letter.value)


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _time(epoch_ms: int) -> str:
    try:
        return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError):
        return f"{epoch_ms} ms"
