import sqlite3
from contextlib import closing, contextmanager

import pytest
from theirs.sink import OwnersSink

from mainstem.testing.sinks import FAULT_PROMISES, PROMISES, Applied, SinkSubject
from schemas.errors import ConfigError
from sinks.base import SinkSettings


def settings(**options):
    return SinkSettings(name="theirs", client={}, options=options)


@pytest.mark.parametrize("promise", PROMISES + FAULT_PROMISES, ids=lambda promise: promise.__name__)
def test_the_sink_keeps_the_promise(promise, tmp_path):
    path = str(tmp_path / "owners.db")

    def applied():
        with closing(sqlite3.connect(path)) as database:
            rows = database.execute("SELECT entity_ref, version, owner FROM owners WHERE NOT gone").fetchall()
        return [Applied(entity_ref=ref, version=version, content=owner) for ref, version, owner in rows]

    @contextmanager
    def locked():
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield

    promise(
        SinkSubject(
            make=lambda: OwnersSink(settings(path=path)),
            applied=applied,
            expected=lambda entity: entity.entity["spec"]["owner"],
            outage=locked,
        )
    )


def test_a_sink_without_a_path_says_what_is_missing():
    with pytest.raises(ConfigError, match=r"sinks\.theirs\.path"):
        OwnersSink(settings())
