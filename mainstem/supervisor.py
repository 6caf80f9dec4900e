"""Every role on this machine, and the embedded services beneath them: started in order, watched, started again.

`up` ends only when it is told to, when a role failed ten times in five minutes, or when one cannot use its
configuration.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from mainstem.embedded.service import EmbeddedService
from mainstem.role_process import RoleProcess, RoleSpec
from mainstem.roles.role import RESTART_CODE
from schemas.errors import ConfigError, Fatal, MainstemError

log = structlog.get_logger(__name__)

MAX_FAILURES: Final = 10
FAILURE_WINDOW_SECONDS: Final = 300.0
EXCUSE_SECONDS: Final = 60.0
"""After a service came back: roles that end now end of its absence, which does not count."""
LOOK_SECONDS: Final = 0.1
TELL_SECONDS: Final = 5.0
"""Between two words about the roles that are waited for."""
PAUSES_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)


class RoleFailedError(Fatal):
    """A role failed again and again, although Kafka and Postgres were there."""


class Supervisor:
    """Keeps roles and embedded services running.

    *is_healthy* answers whether Kafka and Postgres are both there: a failure while one is away does not count.
    """

    def __init__(
        self,
        roles: list[RoleSpec],
        services: Mapping[str, EmbeddedService],
        *,
        run_dir: Path,
        is_healthy: Callable[[], bool],
        log_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roles = [RoleProcess(spec, run_dir / f"{spec.name}.json") for spec in roles]
        self._services = services
        self._is_healthy = is_healthy
        self._log_dir = log_dir
        self._environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"}
        self._clock = clock
        self._excused_until = 0.0
        self._tell_at = 0.0

    def run(self, stop: threading.Event, *, on_ready: Callable[[], None]) -> None:
        """Supervise until *stop* is set, then end the roles. Calls *on_ready* once, when all are ready.

        Raises RoleFailedError when a role fails too often, ConfigError when one cannot use its configuration.
        """
        announced = False
        self._tell_at = self._clock() + TELL_SECONDS
        try:
            while not stop.is_set():
                self._look_after_services()
                for role in self._roles:
                    self._look_after(role)
                if not announced and self._is_ready():
                    announced = True
                    on_ready()
                stop.wait(LOOK_SECONDS)
            log.info("up.stopping")
        finally:
            self._stop_roles()

    def role_address(self, name: str) -> str | None:
        """Return where the monitor of a role answers, None while it has none."""
        return next(each for each in self._roles if each.spec.name == name).address

    def _is_ready(self) -> bool:
        """Whether every role says that it is ready. Now and then tell which do not, and why."""
        is_told = self._clock() >= self._tell_at
        waiting: dict[str, str] = {}
        for role in self._roles:
            hindrance = role.hindrance()
            if hindrance is not None:
                waiting[role.spec.name] = hindrance
                if not is_told:
                    break
        if waiting and is_told:
            self._tell_at = self._clock() + TELL_SECONDS
            log.info("up.waiting", roles=waiting)
        return not waiting

    def _look_after_services(self) -> None:
        for name, service in self._services.items():
            if not service.running:
                log.warning("up.service_ended", service=name)
                try:
                    service.start()
                except MainstemError as error:
                    # Somebody may have its port for a moment; the next look tries again.
                    log.error("up.service_not_started", service=name, reason=str(error))  # noqa: TRY400
                else:
                    log.info("up.service_started", service=name, address=service.address)
                self._excused_until = self._clock() + EXCUSE_SECONDS

    def _look_after(self, role: RoleProcess) -> None:
        now = self._clock()
        if role.child is not None and not role.child.running:
            self._note_end(role, role.child.exit_code or 0, now)
        if role.child is None and now >= role.start_at:
            log_file = None if self._log_dir is None else self._log_dir / f"{role.spec.name}.log"
            role.start(log_file, self._environment)
            log.info("up.role_started", role=role.spec.name, pid=role.child and role.child.pid)

    def _note_end(self, role: RoleProcess, code: int, now: float) -> None:
        role.child = None
        if code == RESTART_CODE:
            role.start_at = now
            return
        if code == ConfigError.exit_code:
            # The configuration is the one that it was started with: the next start would end in the same way.
            raise ConfigError(f"role {role.spec.name}: {role.last_line() or 'the configuration cannot be used'}")
        all_run = all(service.running for service in self._services.values())
        counts = all_run and now > self._excused_until and self._is_healthy()
        if counts:
            role.failures.append(now)
        while role.failures and now - role.failures[0] > FAILURE_WINDOW_SECONDS:
            role.failures.popleft()
        role.start_at = now + PAUSES_SECONDS[min(len(role.failures), len(PAUSES_SECONDS) - 1)]
        log.warning("up.role_ended", role=role.spec.name, code=code, failures=len(role.failures))
        if len(role.failures) >= MAX_FAILURES:
            raise RoleFailedError(
                f"role {role.spec.name} failed {MAX_FAILURES} times in {FAILURE_WINDOW_SECONDS / 60:.0f} minutes"
                f"; {role.last_line() or 'its last lines above say why'}"
            )

    def _stop_roles(self) -> None:
        for role in self._roles:
            if role.child is not None:
                role.child.ask_to_stop()
        for role in self._roles:
            if role.child is not None and not role.child.stop():
                log.warning("up.role_killed", role=role.spec.name, reason="it had not ended when it was told to")
