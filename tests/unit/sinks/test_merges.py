"""Statements of the Postgres sink and the columns of their rows say the same."""

import re
from pathlib import Path

import pytest

from schemas.statements import statements
from sinks.postgres import merges

FILES = [Path(merges.__file__).with_name(name) for name in ("queries.sql", "rebuilds.sql", "history.sql")]
STATEMENTS = {
    name: text for file in FILES for name, text in statements(file).items() if re.search(r"\bincoming\b", text)
}


def test_every_statement_that_reads_incoming_rows_has_its_columns():
    assert STATEMENTS.keys() == merges.COLUMNS.keys()


@pytest.mark.parametrize("name", merges.COLUMNS)
def test_every_column_of_incoming_rows_is_used(name):
    assert [column for column in merges.COLUMNS[name] if not re.search(rf"\b{column}\b", STATEMENTS[name])] == []
