"""`mainstem processor|connectors|sinks|api run`: one role in this process, for production."""

from typing import Annotated

import typer

from mainstem.commands.options import (
    BaseDirOption,
    ConfigOption,
    DataDirOption,
    MetricsHostOption,
    MetricsPortOption,
    RunFileOption,
    group,
    opened,
)
from mainstem.installation import DEFAULT_DATA_DIR
from mainstem.roles.role import RoleOptions, last_line

processor = group("The stream processor: merges changes into entities.")
connectors = group("The connectors: read systems and publish changes.")
sinks = group("The sinks: carry merged entities on.")
api = group("The HTTP API.")


@processor.command("run")
def run_processor(
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    instance: Annotated[
        str,
        typer.Option(
            "--instance", metavar="NAME", help="Name of this worker: it keeps its state in <data-dir>/processor/NAME."
        ),
    ] = "0",
    ephemeral: Annotated[
        bool,
        typer.Option(
            "--ephemeral", help="The directory does not survive: another worker keeps a copy of what this one holds."
        ),
    ] = False,
    metrics_host: MetricsHostOption = "127.0.0.1",
    metrics_port: MetricsPortOption = 0,
    run_file: RunFileOption = None,
    base_dir: BaseDirOption = None,
) -> None:
    """Run one worker of the processor. More workers share the partitions.

    With --ephemeral a worker that ends gives its partitions to the others at once, instead of finding them again.

    Example: mainstem processor run --instance 1 --metrics-port 9101
    """
    from mainstem.roles import processor as role  # noqa: PLC0415 - Faust costs a second

    options = RoleOptions(metrics_host=metrics_host, metrics_port=metrics_port, run_file=run_file)
    with last_line(run_file):
        role.run(opened(config, data_dir, base_dir=base_dir), instance, options, ephemeral=ephemeral)


@connectors.command("run")
def run_connectors(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Only these connectors.")] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    metrics_host: MetricsHostOption = "127.0.0.1",
    metrics_port: MetricsPortOption = 0,
    run_file: RunFileOption = None,
    base_dir: BaseDirOption = None,
) -> None:
    """Run the configured connectors: a complete pass at the start, and again after each rest.

    Example: mainstem connectors run git-main
    """
    from mainstem.roles import connectors as role  # noqa: PLC0415

    options = RoleOptions(metrics_host=metrics_host, metrics_port=metrics_port, run_file=run_file)
    with last_line(run_file):
        installation = opened(config, data_dir, base_dir=base_dir)
        installation.check_plugins()
        role.run(installation, tuple(ids or ()), options)


@sinks.command("run")
def run_sink(
    name: Annotated[str, typer.Argument(metavar="NAME", help="postgres, incidents, or one that a package adds.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    metrics_host: MetricsHostOption = "127.0.0.1",
    metrics_port: MetricsPortOption = 0,
    run_file: RunFileOption = None,
    base_dir: BaseDirOption = None,
) -> None:
    """Run one sink.

    Example: mainstem sinks run postgres
    """
    from mainstem.roles import sink as role  # noqa: PLC0415

    options = RoleOptions(metrics_host=metrics_host, metrics_port=metrics_port, run_file=run_file)
    with last_line(run_file):
        role.run(opened(config, data_dir, base_dir=base_dir), name, options)


@api.command("run")
def run_api(
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    run_file: RunFileOption = None,
    base_dir: BaseDirOption = None,
) -> None:
    """Serve the HTTP API, with /livez, /readyz and /metrics, on api.host and api.port.

    Example: mainstem api run
    """
    from mainstem.roles import api as role  # noqa: PLC0415 - FastAPI costs half a second

    with last_line(run_file):
        role.run(opened(config, data_dir, base_dir=base_dir), RoleOptions(run_file=run_file))


for _app in (processor, connectors, sinks, api):

    @_app.callback()
    def _group() -> None:
        """Keeps `run` a command of its own although it is the only one."""
