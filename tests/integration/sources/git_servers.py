"""A repository to commit to, and servers that give it: over HTTP with a token, over SSH with a key."""

import base64
import io
import os
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TypeVar
from wsgiref.simple_server import WSGIServer, make_server

import paramiko
from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.protocol import Protocol
from dulwich.refs import Ref
from dulwich.repo import Repo
from dulwich.server import DictBackend, UploadPackHandler
from dulwich.web import WSGIRequestHandlerLogger, make_wsgi_chain

Server = TypeVar("Server", bound="HttpServer | SshServer")
FILE, LINK, SUBMODULE = 0o100644, 0o120000, 0o160000


class Origin:
    """A bare repository whose commits are written straight into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"file://{path}"
        self.files: dict[str, tuple[int, bytes]] = {}
        Repo.init_bare(str(path), mkdir=True, default_branch=b"main").close()

    def commit(
        self,
        files: Mapping[str, str | tuple[int, str]],
        *,
        without: Iterable[str] = (),
        branch: str = "main",
        onto: str = "",
    ) -> str:
        """Change some files, and return the new commit. *onto* is its parent instead of the branch's, `-` none."""
        for name in without:
            del self.files[name]
        for name, said in files.items():
            mode, text = (FILE, said) if isinstance(said, str) else said
            self.files[name] = (mode, text.encode())
        with closing(Repo(str(self.path))) as repo:
            ref = Ref(f"refs/heads/{branch}".encode())
            before = [repo.refs[ref]] if ref in repo.refs and not onto else []
            repo.refs[ref] = self._written(repo, [ObjectID(onto.encode())] if len(onto) > 1 else before)
            return repo.refs[ref].decode()

    def tag(self, name: str, commit: str) -> None:
        with closing(Repo(str(self.path))) as repo:
            repo.refs[Ref(f"refs/tags/{name}".encode())] = ObjectID(commit.encode())

    def _written(self, repo: Repo, parents: list[ObjectID]) -> ObjectID:
        entries = []
        for name, (mode, data) in self.files.items():
            blob = Blob.from_string(data)
            if mode != SUBMODULE:
                repo.object_store.add_object(blob)
            entries.append((name.encode(), blob.id, mode))
        commit = Commit()
        commit.tree = commit_tree(repo.object_store, entries)
        commit.parents = parents
        commit.author = commit.committer = b"team-pay <team-pay@acme.example>"
        commit.author_time = commit.commit_time = 1_700_000_000
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = b"services"
        repo.object_store.add_object(commit)
        return commit.id


class HttpServer:
    """Gives *origin* at `/team/catalogue.git` to whoever has the token."""

    def __init__(self, origin: Origin, token: str | None = None, *, is_gits_own: bool = False) -> None:
        self._repo = Repo(str(origin.path))
        own = make_wsgi_chain(DictBackend({b"/team/catalogue.git": self._repo}))
        self._git = partial(_backend, origin.path) if is_gits_own else own
        self._token = token
        self.answer: tuple[str, list[tuple[str, str]], bytes] | None = None
        """Given to every request instead, where it is set."""
        self.seen: list[Mapping[str, str]] = []
        self.moved: tuple[str, str] | None = None
        """Part of a path, and what to find it under."""
        self.bytes_until_silence: int | None = None
        """After how many bytes of a pack the server falls silent, until `spoken` is set; then it breaks off."""
        self.is_silent, self.spoken = threading.Event(), threading.Event()
        self.bytes_until_silence: int | None = None
        """After how many bytes of a pack the server falls silent, until `spoken` is set; then it breaks off."""
        self._server: WSGIServer = make_server("127.0.0.1", 0, self._app, handler_class=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}/team/catalogue.git"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        self.spoken.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._repo.close()

    def _app(self, environ, start_response):
        self.seen.append({key: value for key, value in environ.items() if isinstance(value, str)})
        if self.answer is not None:
            status, headers, body = self.answer
            start_response(status, headers)
            return [body]
        if self.moved is not None and self.moved[0] in environ["PATH_INFO"]:
            path = environ["PATH_INFO"].replace(*self.moved) + "?" + environ["QUERY_STRING"]
            start_response("301 Moved Permanently", [("Location", path)])
            return [b""]
        if self._token is not None and _password(environ) != self._token:
            start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')])
            return [b""]
        head, body = [], []

        def hold(status, headers, exc_info=None):
            del exc_info
            head[:] = [status, headers]
            return body.append

        body += self._git(environ, hold)
        start_response(*head)
        if self.bytes_until_silence is None or environ["REQUEST_METHOD"] != "POST":
            return [b"".join(body)]
        return self._broken_off(b"".join(body)[: self.bytes_until_silence])

    def _broken_off(self, answer: bytes) -> Iterator[bytes]:
        yield answer
        self.is_silent.set()
        self.spoken.wait(60)


def _backend(path: Path, environ, start_response):
    """Answer by Git's own program, as a web server would."""
    told = {key: value for key, value in environ.items() if key.startswith("HTTP_")}
    keys = ("REQUEST_METHOD", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "REMOTE_ADDR")
    asked = {key: environ.get(key, "") for key in keys} | told
    asked |= {"GIT_PROJECT_ROOT": str(path), "GIT_HTTP_EXPORT_ALL": "1", "PATH": os.environ["PATH"]}
    asked |= {"PATH_INFO": environ["PATH_INFO"].removeprefix("/team/catalogue.git")}
    asked |= {"GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", ""), "GIT_CONFIG_COUNT": "1"}
    asked |= {"GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    answer = subprocess.run(["git", "http-backend"], env=asked, input=body, stdout=subprocess.PIPE, check=True).stdout
    head, _, rest = answer.partition(b"\r\n\r\n")
    headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
    status = next((value for key, value in headers if key == "Status"), "200 OK")
    start_response(status, [each for each in headers if each[0] != "Status"])
    return [rest]


def _broken_off(answer: bytes, upto: int) -> Iterator[bytes]:
    yield answer[:upto]


def _password(environ: Mapping[str, str]) -> str:
    kind, _, told = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return base64.b64decode(told).decode().partition(":")[2] if kind == "Basic" else ""


class _Quiet(WSGIRequestHandlerLogger):
    def log_message(self, *_: object) -> None: ...

    def log_request(self, *_: object) -> None: ...


class SshServer:
    """Gives *origin* at `/srv/catalogue.git` to whoever has the key."""

    def __init__(self, origin: Origin, allowed: paramiko.PKey, *, is_gits_own: bool = False) -> None:
        self.is_gits_own = is_gits_own
        self.path = origin.path
        self._repo = Repo(str(origin.path))
        self.backend = DictBackend({b"/srv/catalogue.git": self._repo})
        self.allowed = allowed
        self.is_mute = False
        """Whether commands are taken and never answered."""
        self.host_key = paramiko.ECDSAKey.generate()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"ssh://git@127.0.0.1:{self.port}/srv/catalogue.git"
        self._ended = threading.Event()
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def known_hosts(self, key: paramiko.PKey | None = None) -> str:
        key = key or self.host_key
        return f"[127.0.0.1]:{self.port} {key.get_name()} {key.get_base64()}\n"

    def stop(self) -> None:
        self._ended.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._socket.close()
        for transport in self._transports:
            transport.close()
            transport.join()
        self._repo.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self._ended.is_set():
                connection.close()
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.host_key)
            self._transports.append(transport)
            transport.start_server(event=threading.Event(), server=_Session(self))


class _Session(paramiko.ServerInterface):
    def __init__(self, server: SshServer) -> None:
        self._server = server
        self.environment: dict[str, str] = {}

    def check_channel_env_request(self, channel, name, value):
        del channel
        self.environment[name.decode()] = value.decode()
        return True

    def get_allowed_auths(self, username):
        del username
        return "publickey"

    def check_auth_publickey(self, username, key):
        is_known = username == "git" and key == self._server.allowed
        return paramiko.AUTH_SUCCESSFUL if is_known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        del kind, chanid
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        if self._server.is_mute:
            return True
        threading.Thread(target=self._serve, args=(channel, command.decode())).start()
        return True

    def _serve(self, channel: paramiko.Channel, command: str) -> None:
        path = command.removeprefix("git-upload-pack ").strip("'").encode()
        reader = channel.makefile("rb")
        try:
            if self._server.is_gits_own:
                self._serve_by_git(channel)
                return
            UploadPackHandler(self._server.backend, [path], Protocol(reader.read, channel.sendall)).handle()
        except Exception:  # noqa: BLE001 - a client that goes away, a repository that is not there: the channel ends
            pass
        finally:
            # A client that has what it wanted closes its connection, at times before the channel is.
            with suppress(EOFError, OSError):
                channel.close()

    def _serve_by_git(self, channel: paramiko.Channel) -> None:
        command = ["git", "-c", "safe.directory=*", "upload-pack", str(self._server.path)]
        environment = {**os.environ, **self.environment}
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            threading.Thread(target=_copied, args=(channel, program.stdin)).start()
            while piece := program.stdout.read1():
                channel.sendall(piece)


def _copied(channel: paramiko.Channel, to: IO[bytes]) -> None:
    with suppress(OSError):
        while piece := channel.recv(65_536):
            to.write(piece)
            to.flush()
    with suppress(OSError):
        to.close()


def written(key: paramiko.PKey) -> str:
    """Return a private key as its file holds it."""
    text = io.StringIO()
    key.write_private_key(text)
    return text.getvalue()


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.stop()
