"""What a remote repository may do wrong, and what may happen to the copy of it on this machine."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import paramiko
import pytest

from schemas.errors import (
    AccessDeniedError,
    ConfigError,
    CursorExpiredError,
    NotFoundError,
    RateLimitedError,
    SourceError,
    SourceUnreachableError,
    UnreadableAnswerError,
)
from sources import git_copy, git_http, git_limits, git_ssh
from tests.integration.sources.git_servers import HttpServer, Origin, SshServer, running, written
from tests.integration.sources.reading import all_of, entity, names, since, source
from tests.patience import granted

TOKEN = {"type": "token", "secret_ref": "env:GIT_TOKEN"}
SSH = {"type": "ssh_key", "secret_ref": "file:key", "known_hosts": "known_hosts"}
CANARY = "c4nary-s3cret"

FETCH = """
import sys
from pathlib import Path
from tests.integration.sources.reading import all_of, source
all_of(source({"url": sys.argv[1]}, Path(sys.argv[2])))
"""


@pytest.fixture
def origin(tmp_path):
    found = Origin(tmp_path / "origin.git")
    found.commit({"a.yaml": entity("a"), "b.yaml": entity("b")})
    return found


@pytest.fixture
def server(origin):
    found = HttpServer(origin, CANARY)
    with running(found):
        yield found


@pytest.fixture
def open_server(origin):
    found = HttpServer(origin)
    with running(found):
        yield found


@pytest.fixture
def key():
    return paramiko.ECDSAKey.generate()


@pytest.fixture
def ssh(origin, key, tmp_path):
    found = SshServer(origin, key)
    (tmp_path / "known_hosts").write_text(found.known_hosts())
    with running(found):
        yield found


def everything(error: BaseException) -> str:
    """Return the text of an error and of all that it came from."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return repr(error) + ("" if cause is None else everything(cause))


def test_a_wrong_token_is_refused_and_shown_nowhere(server, tmp_path, caplog):
    caplog.set_level(0)
    with pytest.raises(AccessDeniedError, match=r"answered 401: the token of connection\.auth") as refused:
        all_of(source({"url": server.url, "auth": TOKEN}, tmp_path, secret=f"{CANARY}-not"))

    assert CANARY not in everything(refused.value) + caplog.text
    assert CANARY not in "".join(each.read_text() for each in (tmp_path / "data").rglob("*") if each.is_file())


def test_a_token_goes_into_the_header_and_into_nothing_else(server, tmp_path, caplog):
    caplog.set_level(0)
    all_of(source({"url": server.url, "auth": TOKEN}, tmp_path, secret=CANARY))

    written_down = [each.read_bytes() for each in (tmp_path / "data").rglob("*") if each.is_file()]
    asked = [{**each, "HTTP_AUTHORIZATION": ""} for each in server.seen]
    assert CANARY not in f"{asked}{caplog.text}{written_down}"
    assert all(each["HTTP_AUTHORIZATION"].startswith("Basic ") for each in server.seen)


@pytest.mark.parametrize("token", ["", "a\nb: c", "tökén"])
def test_a_token_that_no_header_can_hold_is_told(server, tmp_path, token):
    with pytest.raises(ConfigError, match="the secret env:GIT_TOKEN is no token"):
        all_of(source({"url": server.url, "auth": TOKEN}, tmp_path, secret=token))


HTML = [("Content-Type", "text/html")]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (("403 Forbidden", HTML), AccessDeniedError, "403"),
        (("404 Not Found", HTML), NotFoundError, "connection.url"),
        (("429 Slow", [("Retry-After", "7")]), RateLimitedError, "429"),
        (("503 Away", HTML), SourceUnreachableError, "503"),
        (("418 Teapot", HTML), UnreadableAnswerError, "418"),
        (("200 OK", HTML), UnreadableAnswerError, "something else than Git"),
        (("200 OK", [("Content-Type", "application/x-git-upload-pack-advertisement")]), SourceError, "git"),
        (
            ("301 Moved", [("Location", "http://127.0.0.2:9/x/info/refs?service=git-upload-pack")]),
            NotFoundError,
            "host",
        ),
    ],
)
def test_an_answer_that_is_none_is_told_and_not_shown(open_server, tmp_path, answer, error, said):
    open_server.answer = (*answer, b"<p>" + CANARY.encode())

    with pytest.raises(error, match=said) as refused:
        all_of(source({"url": open_server.url}, tmp_path))

    assert CANARY not in str(refused.value)
    assert getattr(refused.value, "retry_after", 7) == 7


def test_a_redirect_within_the_origin_is_followed(server, tmp_path):
    connection = {"url": server.url.removesuffix(".git"), "auth": TOKEN}
    server.moved = ("/team/catalogue/", "/team/catalogue.git/")

    assert names(all_of(source(connection, tmp_path, secret=CANARY))) == ["a", "b"]


def test_a_server_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SourceUnreachableError, match="does not answer"):
        all_of(source({"url": "http://127.0.0.1:9/team/catalogue.git"}, tmp_path))


def test_a_repository_that_is_not_there_is_told(ssh, key, tmp_path):
    (tmp_path / "empty").mkdir()
    for connection in ({"url": f"file://{tmp_path}/empty"}, {"url": ssh.url.replace("srv", "srw"), "auth": SSH}):
        with pytest.raises(NotFoundError):
            all_of(source(connection, tmp_path, secret=written(key)))


def test_a_repository_without_a_commit_is_told(tmp_path):
    with pytest.raises(NotFoundError, match="no HEAD"):
        all_of(source({"url": Origin(tmp_path / "empty.git").url}, tmp_path))


def test_a_wrong_key_is_refused(ssh, tmp_path):
    with pytest.raises(AccessDeniedError, match=r"does not take the key of connection\.auth for git"):
        all_of(source({"url": ssh.url, "auth": SSH}, tmp_path, secret=written(paramiko.ECDSAKey.generate())))


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"]
)
def test_a_key_that_is_none_is_told_without_its_text(ssh, tmp_path, text):
    with pytest.raises(ConfigError, match="the secret file:key is no private key"):
        all_of(source({"url": ssh.url, "auth": SSH}, tmp_path, secret=text))


def test_an_unknown_host_is_refused_with_what_to_do(ssh, key, tmp_path):
    (tmp_path / "known_hosts").write_text("")
    with pytest.raises(AccessDeniedError, match=r"does not know the host .* SHA256:.*ssh-keyscan"):
        all_of(source({"url": ssh.url, "auth": SSH}, tmp_path, secret=written(key)))


def test_a_host_that_shows_another_key_is_refused(ssh, key, tmp_path):
    (tmp_path / "known_hosts").write_text(ssh.known_hosts(paramiko.ECDSAKey.generate()))
    with pytest.raises(AccessDeniedError, match="shows another key"):
        all_of(source({"url": ssh.url, "auth": SSH}, tmp_path, secret=written(key)))


def test_a_file_of_known_hosts_that_is_not_there_is_told(ssh, key, tmp_path):
    (tmp_path / "known_hosts").unlink()
    with pytest.raises(ConfigError, match="known_hosts"):
        all_of(source({"url": ssh.url, "auth": SSH}, tmp_path, secret=written(key)))


def test_an_ssh_server_that_is_not_there_is_told(key, tmp_path):
    (tmp_path / "known_hosts").write_text("")
    with pytest.raises(SourceUnreachableError, match="no SSH connection"):
        all_of(source({"url": "ssh://git@127.0.0.1:9/x", "auth": SSH}, tmp_path, secret=written(key)))


def test_a_server_that_falls_silent_holds_no_run(open_server, tmp_path, monkeypatch):
    monkeypatch.setattr(git_http, "SILENCE_SECONDS", 0.3)
    open_server.bytes_until_silence = 60

    with pytest.raises(SourceUnreachableError, match="broke the answer off"):
        all_of(source({"url": open_server.url}, tmp_path))


def test_a_server_that_never_ends_holds_no_run(open_server, tmp_path, monkeypatch):
    monkeypatch.setattr(git_limits, "FETCH_SECONDS", -1.0)

    with pytest.raises(SourceUnreachableError, match="given up"):
        all_of(source({"url": open_server.url}, tmp_path))


def test_a_fetch_that_breaks_off_costs_no_more_than_itself(open_server, origin, tmp_path):
    reader = source({"url": open_server.url}, tmp_path)
    first = all_of(reader)
    origin.commit({"c.yaml": entity("c")})
    open_server.bytes_until_silence = 60
    open_server.spoken.set()
    with pytest.raises(SourceError):
        since(reader, first[-1].cursor)
    open_server.bytes_until_silence = None

    assert names(since(reader, first[-1].cursor)) == ["c"]


def test_a_run_that_is_cancelled_waits_for_no_server(open_server, tmp_path):
    open_server.bytes_until_silence = 60

    async def cancelled() -> float:
        pages = source({"url": open_server.url}, tmp_path).pages(None)
        run = asyncio.create_task(anext(pages))
        await asyncio.to_thread(open_server.is_silent.wait, 30)
        began = granted()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        took = granted() - began
        open_server.spoken.set()
        return took

    assert asyncio.run(cancelled()) < 5


def test_a_kill_in_the_midst_of_a_fetch_costs_a_fetch(open_server, tmp_path):
    open_server.bytes_until_silence = 200
    with subprocess.Popen([sys.executable, "-c", FETCH, open_server.url, str(tmp_path)], cwd=Path.cwd()) as killed:
        assert open_server.is_silent.wait(60)
        killed.send_signal(signal.SIGKILL)
    assert (tmp_path / "data/git/unfinished").exists()
    open_server.spoken.set()
    open_server.bytes_until_silence = None

    assert names(all_of(source({"url": open_server.url}, tmp_path))) == ["a", "b"]
    assert not (tmp_path / "data/git/unfinished").exists()


def damaged(home: Path, what: str) -> None:
    repository = home / "data/git/repository"
    for file in repository.rglob("*"):
        if file.is_file() and (what == "all" or what in file.name):
            file.chmod(0o600)
            file.write_bytes(b"" if what == "HEAD" else os.urandom(file.stat().st_size))


@pytest.mark.parametrize("what", ["all", ".pack", ".idx", "HEAD", "mainstem"])
def test_a_damaged_copy_is_made_anew(open_server, tmp_path, what):
    all_of(source({"url": open_server.url}, tmp_path))
    damaged(tmp_path, what)

    assert names(all_of(source({"url": open_server.url}, tmp_path))) == ["a", "b"]


def test_changes_of_a_damaged_copy_are_found_by_reading_all(open_server, origin, tmp_path):
    cursor = all_of(source({"url": open_server.url}, tmp_path))[-1].cursor
    damaged(tmp_path, ".pack")
    origin.commit({"c.yaml": entity("c")})

    with pytest.raises(SourceError) as refused:
        since(source({"url": open_server.url}, tmp_path), cursor)

    assert isinstance(refused.value, CursorExpiredError | UnreadableAnswerError)
    assert names(all_of(source({"url": open_server.url}, tmp_path))) == ["a", "b", "c"]


def test_a_copy_that_has_grown_is_made_anew(origin, tmp_path, monkeypatch):
    reader = source({"url": origin.url}, tmp_path)
    first = all_of(reader)
    monkeypatch.setattr(git_copy, "MAX_PACKS", 0)

    with pytest.raises(CursorExpiredError, match="grown"):
        since(reader, first[-1].cursor)
    assert names(all_of(reader)) == ["a", "b"]


def test_another_address_is_another_copy(origin, tmp_path):
    other = Origin(tmp_path / "other.git")
    other.commit({"x.yaml": entity("x")})
    first = all_of(source({"url": origin.url}, tmp_path))

    with pytest.raises(CursorExpiredError):
        since(source({"url": other.url}, tmp_path), first[-1].cursor)
    assert names(all_of(source({"url": other.url}, tmp_path))) == ["x"]


def test_two_runs_do_not_fetch_into_one_copy(open_server, tmp_path):
    open_server.bytes_until_silence = 60

    async def both() -> BaseException | None:
        first = asyncio.create_task(anext(source({"url": open_server.url}, tmp_path).pages(None)))
        await asyncio.to_thread(open_server.is_silent.wait, 30)
        try:
            await anext(source({"url": open_server.url}, tmp_path).pages(None))
        except SourceUnreachableError as error:
            return error
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            open_server.spoken.set()
        return None

    assert "is in use" in str(asyncio.run(both()))


def test_the_copy_of_a_source_without_a_place_is_gone_with_it(origin, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    reader = source({"url": origin.url}, tmp_path)
    reader = type(reader)(reader.settings.__class__(connector="git", connection={"url": origin.url}))
    assert names(all_of(reader)) == ["a", "b"]
    del reader

    assert list((tmp_path / "tmp").iterdir()) == []


def test_ssh_falls_silent_for_no_longer_than_is_allowed(ssh, key, tmp_path, monkeypatch):
    monkeypatch.setattr(git_ssh, "SILENCE_SECONDS", 0.3)
    ssh.is_mute = True

    with pytest.raises(SourceUnreachableError, match="silent too long"):
        all_of(source({"url": ssh.url, "auth": SSH}, tmp_path, secret=written(key)))
