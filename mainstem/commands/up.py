"""`mainstem up`."""

from pathlib import Path
from typing import Annotated

import structlog
import typer

from mainstem.commands.options import ConfigOption, DataDirOption, opened
from mainstem.commands.progress import DownloadBar
from mainstem.installation import DEFAULT_DATA_DIR

log = structlog.get_logger(__name__)

ReadyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ready-file",
        metavar="FILE",
        help="Gets kafka, postgres, api and pid as JSON once all is ready, and goes with `up`.",
    ),
]


def up(
    config: ConfigOption = None, data_dir: DataDirOption = DEFAULT_DATA_DIR, ready_file: ReadyFileOption = None
) -> None:
    """Run every role on this machine, with an embedded Kafka and Postgres wherever none is configured.

    Ends on Ctrl-C, when a role failed ten times in five minutes, or when one cannot use its configuration (exit
    code 78). What is edited in the configuration meanwhile counts from the next start on.

    Example: mainstem up --ready-file ready.json
    """
    from mainstem.up import run  # noqa: PLC0415 - the embedded services are not needed by other commands

    with DownloadBar() as bar:
        run(opened(config, data_dir, is_beside_up=False), ready_file=ready_file, progress=bar.show)
    log.info("up.ended")
