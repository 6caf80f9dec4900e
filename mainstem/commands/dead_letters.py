"""`mainstem dead-letters list|show|replay|discard`."""

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich.console import Console

from mainstem.commands.dead_letter_filters import (
    ConnectorFilter,
    ErrorFilter,
    KeyFilter,
    ReasonFilter,
    SinceFilter,
    StageFilter,
    TopicFilter,
    UntilFilter,
    filter_of,
)
from mainstem.commands.dead_letter_views import as_json, outcome_row, show_letter, table
from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, group, opened
from mainstem.commands.progress import RecordsBar
from mainstem.dead_letters.desk import Desk, Found, Outcome
from mainstem.dead_letters.letters import DeadLetter, Filter, LetterId
from mainstem.dead_letters.reading import NotFound
from mainstem.installation import DEFAULT_DATA_DIR
from mainstem.person import who
from mainstem.terminal import counted, screen, visible
from schemas.errors import ConfigError

app = group("What was set aside: look at it, replay it, discard it.")

IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="PARTITION/OFFSET, as `dead-letters list` names them.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Those as well that were replayed or discarded already.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_letters(
    connector: ConnectorFilter = None,
    topic: TopicFilter = None,
    stage: StageFilter = None,
    error: ErrorFilter = None,
    key: KeyFilter = None,
    reason: ReasonFilter = "",
    since: SinceFilter = None,
    until: UntilFilter = None,
    every: AllOption = False,
    as_json_: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """List dead letters about which nobody has decided yet.

    Examples:
      mainstem dead-letters list --connector team-pay --since 24h
      mainstem dead-letters list --stage 'sink:*' --json
    """
    installation = opened(config, data_dir)
    wanted = filter_of(
        installation.topics, connector, topic, stage, error, key, reason=reason, since=since, until=until
    )
    with Desk(installation) as desk:
        if as_json_:
            for found in _scanned(desk, wanted, decided=every):
                typer.echo(as_json(*found))
            return
        console = screen()
        table(_scanned(desk, wanted, decided=every, console=console if console.is_terminal else None), console)


@app.command("show")
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="PARTITION/OFFSET, as `dead-letters list` names it.")],
    as_json_: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Show one dead letter whole: where it came from, why it is one, its headers, key and value.

    Example: mainstem dead-letters show 3/42
    """
    wanted = LetterId.parse(letter)
    with Desk(opened(config, data_dir)) as desk:
        for found in desk.named([wanted]):
            typer.echo(as_json(*found, whole=True) if as_json_ else show_letter(*found))


@app.command("replay")
def replay(
    ids: IdsArgument = None,
    connector: ConnectorFilter = None,
    topic: TopicFilter = None,
    stage: StageFilter = None,
    error: ErrorFilter = None,
    key: KeyFilter = None,
    reason: ReasonFilter = "",
    since: SinceFilter = None,
    until: UntilFilter = None,
    every: AllOption = False,
    yes: YesOption = False,
    force: Annotated[bool, typer.Option("--force", help="Also what is older than deletes are remembered.")] = False,
    as_json_: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Publish dead letters to their changes topic again, as they first came.

    What cannot be replayed is listed on standard error, the others are replayed, and the exit code is 1.

    Examples:
      mainstem dead-letters replay 3/42 0/17
      mainstem dead-letters replay --connector team-pay --error ValidationError --yes
    """
    installation = opened(config, data_dir)
    wanted = filter_of(
        installation.topics, connector, topic, stage, error, key, reason=reason, since=since, until=until
    )
    with Desk(installation) as desk:
        refused = _Refused()
        chosen = _chosen(desk, ids, wanted, "replay", decided=every, yes=yes, refused=refused)
        _tell(desk.replay(chosen, by=who(), force=force), "replayed", refused, is_json=as_json_)
        refused.end()


@app.command("discard")
def discard(
    ids: IdsArgument = None,
    connector: ConnectorFilter = None,
    topic: TopicFilter = None,
    stage: StageFilter = None,
    error: ErrorFilter = None,
    key: KeyFilter = None,
    reason: ReasonFilter = "",
    since: SinceFilter = None,
    until: UntilFilter = None,
    yes: YesOption = False,
    as_json_: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Remember that nothing is to be done about dead letters: they are not listed again.

    What is not there is listed on standard error, the others are discarded, and the exit code is 1.

    Example: mainstem dead-letters discard --key 'component:default/trial-*' --yes
    """
    installation = opened(config, data_dir)
    wanted = filter_of(
        installation.topics, connector, topic, stage, error, key, reason=reason, since=since, until=until
    )
    with Desk(installation) as desk:
        refused = _Refused()
        chosen = _chosen(desk, ids, wanted, "discard", decided=False, yes=yes, refused=refused)
        _tell(desk.discard(chosen, by=who()), "discarded", refused, is_json=as_json_)
        refused.end()


def _scanned(desk: Desk, wanted: Filter, *, decided: bool, console: Console | None = None) -> Iterator[Found]:
    starts = desk.starts(wanted)
    with RecordsBar("reading dead letters", desk.count(starts), console=console) as bar:
        yield from desk.matching(wanted, starts, bar.advance, decided=decided)


def _chosen(
    desk: Desk, ids: list[str] | None, wanted: Filter, verb: str, *, decided: bool, yes: bool, refused: "_Refused"
) -> Iterable[DeadLetter]:
    """Return the letters that are meant, asked about first where a filter chose them."""
    if ids and not wanted.is_empty:
        raise ConfigError(f"name dead letters to {verb}, or filter them: not both at once")
    if ids:
        return _named(desk, ids, refused)
    if wanted.is_empty:
        raise ConfigError(f"nothing to {verb}: name dead letters by PARTITION/OFFSET, or filter them (--help)")
    count = sum(1 for _ in _scanned(desk, wanted, decided=decided))
    said = f"{counted(count, 'dead letter')} to {verb}"
    sys.stderr.write(f"{said}\n")
    if count and not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"{said}: add --yes to do it")
        typer.confirm("Go on?", abort=True, err=True)
    return (letter for letter, _ in _scanned(desk, wanted, decided=decided))


class _Refused:
    """Tells, on standard error, about which letters nothing was done."""

    def __init__(self) -> None:
        self._count = 0

    def tell(self, sentence: str) -> None:
        self._count += 1
        sys.stderr.write(f"{visible(sentence)}\n")

    def end(self) -> None:
        if self._count:
            raise typer.Exit(1)


def _named(desk: Desk, ids: Iterable[str], refused: _Refused) -> Iterator[DeadLetter]:
    """Yield the letters of these names. One that is wrong, or of a letter that is gone, stops none of the others."""
    for each in dict.fromkeys(ids):
        try:
            found = list(desk.named([LetterId.parse(each)]))
        except (ConfigError, NotFound) as error:
            refused.tell(str(error))
        else:
            yield from (letter for letter, _ in found)


def _tell(outcomes: Iterable[Outcome], verdict: str, refused: _Refused, *, is_json: bool) -> None:
    """Print each outcome."""
    for outcome in outcomes:
        if outcome.refused is not None:
            refused.tell(f"{outcome.letter.id}: {outcome.refused}")
        else:
            typer.echo(outcome_row(outcome, verdict, is_json=is_json))
