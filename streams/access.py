"""How a worker reaches a Kafka that encrypts, or asks who is there."""

import ssl
from dataclasses import dataclass, field
from typing import Any

from faust.auth import SASLCredentials, SSLCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user of SASL."""

    username: str
    password: str = field(repr=False)
    mechanism: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What each of the worker's connections is opened with. *context*: TLS; without it, nothing is encrypted."""

    context: ssl.SSLContext | None = None
    login: Login | None = None

    def credentials(self) -> Any:
        """Return it as Faust hands it to its clients, None for a Kafka that is open to everybody."""
        if self.login is not None:
            return SASLCredentials(
                username=self.login.username,
                password=self.login.password,
                mechanism=self.login.mechanism,
                ssl_context=self.context,
            )
        return None if self.context is None else SSLCredentials(self.context)
