"""`mainstem sinks rebuild`."""

import logging
import sys
import time
from typing import Annotated

import orjson
import typer

from mainstem import log
from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, opened
from mainstem.commands.progress import RecordsBar
from mainstem.installation import DEFAULT_DATA_DIR
from mainstem.terminal import counted
from schemas.errors import ConfigError


def rebuild(
    name: Annotated[str, typer.Argument(metavar="NAME", help="postgres, incidents, or one that a package adds.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Project a sink anew from the compacted topics. It goes on serving meanwhile.

    What was projected earlier and is not in the topics any more is removed at the end, where the sink can do that.
    Interrupted, it is taken up again by whoever runs the sink next.

    Example: mainstem sinks rebuild postgres --yes
    """
    from mainstem.rebuild import Rebuild  # noqa: PLC0415 - not every command needs the sinks
    from mainstem.roles.sink import require_topics, settings_of  # noqa: PLC0415

    # The bar tells how it goes on; what the sink logs beside that would stand in the middle of it.
    log.configure(level=logging.WARNING)
    installation = opened(config, data_dir)
    work = Rebuild(settings_of(installation, name), installation.cluster)
    require_topics(installation, work.sink)
    if not yes:
        _confirm(name, work.sink.rebuild_means)
    began = time.monotonic()
    with RecordsBar(f"rebuilding {name}") as bar:
        records = work.run(bar.show)
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        typer.echo(orjson.dumps({"sink": name, "records": records, "seconds": seconds}))
    else:
        typer.echo(f"{name} is rebuilt: {counted(records, 'record')} read in {seconds} s")


def _confirm(name: str, means: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(f"sinks rebuild {name}: {means}; add --yes to go on without being asked")
    typer.confirm(f"Rebuild {name}: {means}. Go on?", abort=True, err=True)
