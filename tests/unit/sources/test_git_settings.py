"""What `connection` of type `git` may say, and what it is told when it says something else."""

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from sources.base import SourceSettings
from sources.git import GitSource
from sources.git_settings import parsed

TOKEN = {"type": "token", "secret_ref": "env:T"}
KEY = {"type": "ssh_key", "secret_ref": "env:K", "known_hosts": "hosts"}
CANARY = "c4nary"


def settings(connection):
    return SourceSettings(connector="git", connection=connection, base_dir=Path("/etc/mainstem"))


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ({"url": "https://git.acme.example/a/b.git"}, ("https", "git.acme.example", None, None, "/a/b.git")),
        ({"url": "https://git.acme.example:8443/a", "auth": TOKEN}, ("https", "git.acme.example", 8443, None, "/a")),
        ({"url": "http://localhost:8080/a", "auth": TOKEN}, ("http", "localhost", 8080, None, "/a")),
        ({"url": "ssh://git@git.acme.example:22/a/b", "auth": KEY}, ("ssh", "git.acme.example", 22, "git", "/a/b")),
        ({"url": "git@git.acme.example:a/b.git", "auth": KEY}, ("ssh", "git.acme.example", None, "git", "a/b.git")),
        ({"url": "git.acme.example:/a/b.git", "auth": KEY}, ("ssh", "git.acme.example", None, None, "/a/b.git")),
        ({"url": "file:///srv/a.git"}, ("file", "", None, None, "/srv/a.git")),
    ],
)
def test_addresses_are_read(connection, expected):
    found = parsed(settings(connection))
    assert (found.scheme, found.host, found.port, found.user, found.path) == expected


def test_known_hosts_lie_beside_the_configuration():
    found = parsed(settings({"url": "git@git.acme.example:a", "auth": KEY}))
    assert found.auth is not None
    assert found.auth.known_hosts == Path("/etc/mainstem/hosts")


URL = {"url": "https://git.acme.example/a"}


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ({}, r"connection\.path must name a directory, or connection\.url"),
        ({"path": ""}, "path must name"),
        ({"path": ".", "url": "x"}, "path or url, not both"),
        ({"path": ".", "ref": "main"}, r"connection\.ref: unknown key"),
        (URL | {"branch": "x"}, r"connection\.branch: unknown key"),
        ({"url": 7}, "must be a text"),
        ({"url": "git://git.acme.example/a"}, "must begin with https"),
        ({"url": "/srv/a.git"}, "must begin with https"),
        ({"url": "https://git.acme.example"}, "must name a host and a path"),
        ({"url": "https://git.acme.example:x/a"}, "port"),
        ({"url": "https://[x/a"}, "cannot be read"),
        ({"url": "file://srv/a.git"}, "absolute path"),
        ({"url": "https://git.acme.example/a?x=1"}, "no \\?"),
        ({"url": f"https://me:{CANARY}@git.acme.example/a"}, r"connection\.auth"),
        ({"url": f"https://{CANARY}@git.acme.example/a"}, r"connection\.auth"),
        ({"url": f"ssh://git:{CANARY}@git.acme.example/a", "auth": KEY}, r"connection\.auth"),
        ({"url": "http://git.acme.example/a", "auth": TOKEN}, "https alone"),
        ({"url": "git@git.acme.example:a"}, "known_hosts"),
        ({"url": "git@git.acme.example:a", "auth": TOKEN}, "takes no token"),
        ({"url": "file:///a", "auth": TOKEN}, "takes no token"),
        (URL | {"auth": KEY}, "takes no ssh_key"),
        (URL | {"auth": CANARY}, "token or ssh_key"),
        (URL | {"auth": {"type": "token"}}, "secret_ref is required"),
        (URL | {"auth": TOKEN | {"token": CANARY}}, "auth.token: unknown key"),
        (URL | {"auth": TOKEN | {"username": "a:b"}}, "without a colon"),
        ({"url": "git@h:a", "auth": KEY | {"known_hosts": ""}}, "ssh-keyscan"),
        (URL | {"ref": 12}, "in quotes"),
        (URL | {"ref": "a..b"}, "name of a branch"),
        (URL | {"ref": "-x"}, "name of a branch"),
        (URL | {"subdir": "../x"}, "directory of the repository"),
        (URL | {"documents": []}, "list of rules"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_key_and_without_secrets(connection, said):
    with pytest.raises(ConfigError, match=said) as refused:
        GitSource(settings(connection))

    assert str(refused.value).startswith("connector git: ")
    assert CANARY not in str(refused.value)
