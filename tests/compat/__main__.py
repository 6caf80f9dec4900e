"""Keeps what a released version wrote: `python -m tests.compat REVISION`, once per release.

Writes `tests/compat/golden/`: its records, its schemas, the tables that it filled, the statements that it runs.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mainstem.embedded import EmbeddedPostgres
from mainstem.embedded.postgres import DATABASE, _find_binaries
from tests.compat.versions import GOLDEN, exchange, unpacked


def main(revision: str) -> None:
    with tempfile.TemporaryDirectory(prefix="mst-") as home:
        code = unpacked(revision, Path(home) / "code")
        assert code is not None, f"git does not know {revision}"
        shutil.rmtree(GOLDEN, ignore_errors=True)
        GOLDEN.mkdir()
        (GOLDEN / "revision").write_text(f"{revision}\n")
        records = exchange(code, "write")
        (GOLDEN / "records.jsonl").write_text("".join(f"{row}\n" for row in map(_text, records)))
        shutil.copytree(code / "schemas/avro", GOLDEN / "avro")
        shutil.copy(code / "sinks/postgres/queries.sql", GOLDEN)
        (GOLDEN / "tables.sql").write_text(_tables(Path(home), code, records))


def _tables(home: Path, code: Path, records: list) -> str:
    service = EmbeddedPostgres(home, fsync=False)
    service.start()
    try:
        migrate = "import sys; from schemas.database import migrate; migrate(sys.argv[1])"
        subprocess.run([sys.executable, "-c", migrate, service.address], cwd=code, env={"PYTHONPATH": code}, check=True)
        exchange(code, "project", service.address, rows=records)
        command = [_find_binaries() / "pg_dump", "--no-owner", "--inserts", service.dsn(DATABASE)]
        dump = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finally:
        service.stop()
    # Comments, what is psql's own, and settings that an older server does not know.
    dropped = ("--", "\\", "SET transaction_timeout")
    kept = [line for line in dump.splitlines() if line and not line.startswith(dropped)]
    return "\n".join(kept) + "\n"


def _text(row: dict) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True)


if __name__ == "__main__":
    main(sys.argv[1])
