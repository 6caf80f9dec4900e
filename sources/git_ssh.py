"""Git over SSH: one key, one file of known hosts, nothing of the user's own SSH configuration or agent."""

import io
import logging
from collections.abc import Callable
from typing import Final, NoReturn

import paramiko
from dulwich.client import SSHVendor
from dulwich.errors import HangupException

from schemas.errors import AccessDeniedError, ConfigError, SourceUnreachableError
from sources.git_limits import CONNECT_SECONDS, SILENCE_SECONDS, Limits
from sources.git_settings import Auth, Remote

_KEYS: Final = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
_PIECE: Final = 65_536
_PORT: Final = 22

# What it would write there is raised here as a sentence.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class KeyVendor(SSHVendor):
    """Opens a channel for one command. The host must be known: nothing is learned on the way."""

    def __init__(self, remote: Remote, auth: Auth, secret: Callable[[str], str], limits: Limits) -> None:
        self._remote = remote
        self._auth = auth
        self._secret = secret
        self._limits = limits

    def run_command(  # type: ignore[override]
        self, host: str, command: bytes, username: str | None = None, port: int | None = None, **_: object
    ) -> "Command":
        key = private_key(self._secret(self._auth.secret_ref), self._auth.secret_ref)
        client = paramiko.SSHClient()
        try:
            self._load_known_hosts(client)
            self._connect(client, key, host, port or _PORT, username or "git")
            return Command(client, command, self._limits)
        except BaseException:
            client.close()
            raise

    def _load_known_hosts(self, client: paramiko.SSHClient) -> None:
        client.set_missing_host_key_policy(_Refuse(self._auth))
        try:
            client.load_host_keys(str(self._auth.known_hosts))
        except (OSError, ValueError):
            raise ConfigError(f"connection.auth.known_hosts: {self._auth.known_hosts} cannot be read") from None

    def _connect(self, client: paramiko.SSHClient, key: paramiko.PKey, host: str, port: int, user: str) -> None:
        url = self._remote.url
        try:
            client.connect(
                host,
                port,
                user,
                pkey=key,
                allow_agent=False,
                look_for_keys=False,
                timeout=CONNECT_SECONDS,
                banner_timeout=CONNECT_SECONDS,
                auth_timeout=CONNECT_SECONDS,
                channel_timeout=CONNECT_SECONDS,
            )
        except paramiko.BadHostKeyException as error:
            raise AccessDeniedError(
                f"{url}: the host shows another key ({error.key.fingerprint}) than {self._auth.known_hosts} has. "
                "Somebody may stand in between: ask who runs the host, and only then correct the file"
            ) from None
        except paramiko.AuthenticationException:
            raise AccessDeniedError(f"{url}: the host does not take the key of connection.auth for {user}") from None
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise SourceUnreachableError(f"{url}: no SSH connection ({type(error).__name__})") from None


class _Refuse(paramiko.MissingHostKeyPolicy):
    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> NoReturn:
        del client
        raise AccessDeniedError(
            f"{self._auth.known_hosts} does not know the host {hostname}, which shows {key.get_name()} "
            f"{key.fingerprint}. Compare this with what the host's owner publishes, then add the line that "
            "`ssh-keyscan` prints for it"
        )


class Command:
    """A command on the other side, as dulwich wants it: `read` returns fewer bytes than asked for at the end alone."""

    def __init__(self, client: paramiko.SSHClient, command: bytes, limits: Limits) -> None:
        transport = client.get_transport()
        assert transport is not None
        self._client = client
        self._limits = limits
        self._channel = transport.open_session(timeout=CONNECT_SECONDS)
        self._channel.settimeout(SILENCE_SECONDS)
        # A server that does not take the variable speaks the older protocol.
        self._channel.set_environment_variable("GIT_PROTOCOL", "version=2")
        try:
            self._channel.exec_command(command.decode())
        except paramiko.SSHException:
            # The host refused the command, or ended it before it said that it began.
            raise HangupException from None

    def read(self, size: int) -> bytes:
        """Raises TimeoutError after too long a silence."""
        pieces, missing = list[bytes](), size
        while missing > 0 and (piece := self._limits.take(self._channel.recv(min(missing, _PIECE)))):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def write(self, data: bytes) -> int:
        self._channel.sendall(data)
        return len(data)

    def can_read(self) -> bool:
        return self._channel.recv_ready()

    def close(self) -> None:
        self._client.close()


def private_key(text: str, secret_ref: str) -> paramiko.PKey:
    """Read a private key in OpenSSH's or PEM form. Raises ConfigError, without text of it."""
    for kind in _KEYS:
        try:
            return kind.from_private_key(io.StringIO(text.strip() + "\n"))
        except paramiko.PasswordRequiredException:
            raise ConfigError(f"the secret {secret_ref} is a key with a passphrase; give one without") from None
        except (paramiko.SSHException, ValueError, IndexError, TypeError):
            continue
    raise ConfigError(f"the secret {secret_ref} is no private key of type ed25519, ecdsa or rsa")
