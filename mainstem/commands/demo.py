"""`mainstem demo`."""

from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT_DEMO_DIR: Final = Path(".mainstem/demo")


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the last step; exit code 0 if all was right.")
    ] = False,
    catalog: Annotated[
        Path | None,
        typer.Option("--catalog", metavar="PATH", help="Your own catalogue files: a directory, or one file."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir", metavar="DIR", help=f"Where the demo keeps its data; {DEFAULT_DEMO_DIR}, with --once nowhere."
        ),
    ] = None,
) -> None:
    """Tell one service's story with a real Kafka and a real Postgres, and check every step of it.

    Afterwards everything goes on running until Ctrl-C. Nothing but the data directory is touched; an earlier
    demo's data in it is removed.

    Examples:
      mainstem demo
      mainstem demo --once --catalog ./catalog
    """
    from mainstem.demo.performance import perform  # noqa: PLC0415 - the embedded services are not needed by others

    perform(catalog, data_dir if once or data_dir else DEFAULT_DEMO_DIR, once=once)
