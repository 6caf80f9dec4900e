"""Hosts whose clocks differ: what is published last counts, whoever publishes it."""

import time

import pytest

from tests.integration.sources.scripted import Scripted, many

_now = time.time


@pytest.mark.parametrize(("deleting", "publishing"), [(1_800, 0), (0, -86_400)])
def test_what_comes_back_outranks_its_deletion_by_a_host_with_another_clock(stage, monkeypatch, deleting, publishing):
    system = many(3)
    source = Scripted(system)
    stage.look(source)
    kept = system.pop("c-00001")
    monkeypatch.setattr(time, "time", lambda: _now() + deleting)
    stage.look(source)
    system["c-00001"] = kept
    monkeypatch.setattr(time, "time", lambda: _now() + publishing)
    stage.look(source)
    assert len(stage.held()) == 3
