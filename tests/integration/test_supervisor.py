"""What `up` says of its roles, which are processes of their own here as well."""

import os
import signal
import threading
import time

import psutil
import pytest
import structlog

from mainstem import supervisor
from mainstem.embedded import process
from mainstem.role_process import RoleSpec
from mainstem.supervisor import RoleFailedError, Supervisor
from schemas.errors import ConfigError
from tests.acceptance.running import write_config
from tests.patience import eventually

PATIENCE = 180.0
NOWHERE = {"kafka": {"bootstrap_servers": "127.0.0.1:1"}, "postgres": {"dsn": "postgresql://me@127.0.0.1:1/catalog"}}


def _supervisor(tmp_path, role, *arguments, **options):
    file = write_config(tmp_path / "mainstem.yaml", {**NOWHERE, "api": {"port": 0}})
    common = ("--config", str(file), "--data-dir", str(tmp_path / "d"))
    specs = [RoleSpec(name=role, arguments=(*arguments, *common))]
    run_dir = tmp_path / "d" / "run"
    return Supervisor(specs, {}, run_dir=run_dir, is_healthy=lambda: True, log_dir=tmp_path, **options)


def test_a_role_that_cannot_use_its_configuration_is_not_tried_again(tmp_path):
    watched = _supervisor(tmp_path, "sink-backstage", "sinks", "run", "backstage")
    with structlog.testing.capture_logs() as logs, pytest.raises(ConfigError) as ended:
        watched.run(threading.Event(), on_ready=lambda: None)
    started = [each for each in logs if each["event"] == "up.role_started"]
    sentence = "role sink-backstage: sinks.backstage: enabled is false; set it to true to run the sink"
    assert (str(ended.value), len(started)) == (sentence, 1)


def test_while_roles_are_waited_for_it_is_told_which_and_why(tmp_path):
    told = threading.Event()

    def note(_logger, _method, event):
        if event["event"] == "up.waiting" and event["roles"]["api"] not in {"starts", "does not answer yet"}:
            waiting.append(event["roles"])
            told.set()
        raise structlog.DropEvent

    waiting = []
    structlog.configure(processors=[note])
    try:
        watched = _supervisor(tmp_path, "api", "api", "run", clock=lambda: 100 * time.monotonic())
        watched.run(told, on_ready=lambda: None)
    finally:
        structlog.reset_defaults()
    assert waiting == [{"api": "PoolTimeout"}]


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


def test_a_role_that_does_not_end_when_it_is_told_to_is_killed_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "STOP_TIMEOUT_S", 0.5)
    stop, started = threading.Event(), []

    def hold(_logger, _method, event):
        if event["event"] == "up.role_started":
            started.append(event["pid"])
            os.kill(event["pid"], signal.SIGSTOP)
            # Until it stands still, it ends when it is told to.
            role = psutil.Process(event["pid"])
            eventually(lambda: role.status() == psutil.STATUS_STOPPED, pause=0.01)
            stop.set()
        elif event["event"] == "up.role_killed":
            killed.append(event["role"])
        raise structlog.DropEvent

    killed = []
    structlog.configure(processors=[hold])
    try:
        _supervisor(tmp_path, "api", "api", "run").run(stop, on_ready=lambda: None)
    finally:
        structlog.reset_defaults()
    assert (len(started), killed) == (1, ["api"])
    assert not psutil.pid_exists(started[0])
