"""What the reader can try while the demo goes on running: commands that work as they are printed."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from mainstem.configuration.loading import is_written_here
from mainstem.demo import voices
from mainstem.demo.place import TTL_SECONDS
from mainstem.demo.stage import Stage
from mainstem.demo.voices import INCIDENT_TOOL, TEAM

_FOLDER: Final = "try"


def next_commands(stage: Stage, ref: str, entity: dict[str, Any], observed_at: int) -> list[tuple[str, str]]:
    """Write what can be published into the data directory; return commands, each with what it shows."""
    folder = stage.data_dir / _FOLDER
    folder.mkdir(exist_ok=True)
    incident = voices.incident_tool(entity, observed_at=observed_at)
    del incident["observedAt"]
    files = {INCIDENT_TOOL: incident, TEAM: voices.team(entity)}
    for connector, change in files.items():
        (folder / f"{connector}.json").write_bytes(orjson.dumps(change, option=orjson.OPT_INDENT_2))
    mainstem = program()
    where = f"--data-dir {_short(stage.data_dir)}"
    if is_written_here():
        # Without it, commands would follow the reader's own configuration to another installation.
        where = f"--config {_short(stage.data_dir / 'mainstem.yaml')} {where}"
    says = {
        each: f"{mainstem} publish --connector {each} --partial {_short(folder / each)}.json {where}" for each in files
    }
    return [
        (says[TEAM], "the team speaks again; it outranks the files"),
        (says[INCIDENT_TOOL], f"the incident tool too: for {TTL_SECONDS} s it outranks everybody"),
        (f"{mainstem} entities get {ref} {where}", "each field, and who won it"),
        (f"curl -s {stage.api}/v1/entities/{ref}", "the same from the API"),
        (f"{mainstem} publish --connector {TEAM} --delete {ref} {where}", "the team takes its word back"),
    ]


def program() -> str:
    """Return how this program was called, so that it can be called so again."""
    called = Path(sys.argv[0])
    if called.name != "mainstem":
        return f"{_short(Path(sys.executable))} -m mainstem"
    found = shutil.which("mainstem")
    is_on_path = found is not None and Path(found).resolve() == called.resolve()
    return "mainstem" if is_on_path else _short(called)


def _short(path: Path) -> str:
    """Return *path* for a shell in the working directory."""
    absolute = path.absolute()
    here = Path.cwd()
    return shlex.quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute))
