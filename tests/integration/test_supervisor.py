"""What keeps the roles of `up` running."""

import threading

import pytest

from mainstem import supervisor
from mainstem.supervisor import RoleFailedError, RoleSpec, Supervisor

PATIENCE = 90.0


def test_a_role_that_ends_is_started_again_until_it_has_failed_too_often(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "PAUSES_SECONDS", (0.0,))
    monkeypatch.setattr(supervisor, "MAX_FAILURES", 3)
    broken = RoleSpec(name="broken", arguments=("no-such-command",))
    watched = Supervisor([broken], {}, run_dir=tmp_path, log_dir=tmp_path, is_healthy=lambda: True)
    stop = threading.Event()
    patience = threading.Timer(PATIENCE, stop.set)
    patience.start()
    with pytest.raises(RoleFailedError, match="role broken failed 3 times"):
        watched.run(stop, on_ready=lambda: pytest.fail("a broken role is not ready"))
    patience.cancel()
    assert (tmp_path / "broken.log").read_text().count("No such command") == 3
