"""What type `git` reads of a remote repository, and what of it after the next commit."""

import shutil

import paramiko
import pytest

from schemas.errors import CursorExpiredError, NotFoundError
from sources.git_tree import TreeFiles
from tests.integration.sources.git_servers import FILE, LINK, SUBMODULE, HttpServer, Origin, SshServer, running, written
from tests.integration.sources.reading import all_of, covers, entity, names, refusals, since, source

TOKEN = {"type": "token", "secret_ref": "env:GIT_TOKEN"}


@pytest.fixture
def origin(tmp_path):
    found = Origin(tmp_path / "origin.git")
    found.commit({"a.yaml": entity("a"), "pay/b.yaml": entity("b"), "README.md": "about"})
    return found


@pytest.fixture
def read(monkeypatch):
    """The files that are read, in order."""
    found = []
    before = TreeFiles.read
    monkeypatch.setattr(TreeFiles, "read", lambda self, name, limit: found.append(name) or before(self, name, limit))
    return found


@pytest.fixture(params=["file", "http", "http by git", "ssh", "ssh by git"])
def connection(request, origin, tmp_path):
    """A connection to *origin*, in each way there is, and the secret that it needs."""
    way, _, is_gits_own = request.param.partition(" by ")
    if is_gits_own and shutil.which("git") is None:
        pytest.skip("Git's own programs are not on this machine")
    if way == "file":
        yield {"url": origin.url}, ""
        return
    key = paramiko.ECDSAKey.generate()
    if way == "http":
        server = HttpServer(origin, "s3cret", is_gits_own=bool(is_gits_own))
        auth, secret = TOKEN, "s3cret"
    else:
        server = SshServer(origin, key, is_gits_own=bool(is_gits_own))
        (tmp_path / "known_hosts").write_text(server.known_hosts())
        auth, secret = {"type": "ssh_key", "secret_ref": "file:key", "known_hosts": "known_hosts"}, written(key)
    with running(server):
        yield {"url": server.url, "auth": auth}, secret


def test_a_clone_reads_everything_and_the_next_commit_only_what_differs(connection, origin, tmp_path, read):
    stated, secret = connection
    reader = source(stated, tmp_path, secret=secret)
    first = all_of(reader)
    assert (names(first), read) == (["a", "b"], ["a.yaml", "pay/b.yaml"])
    read.clear()
    origin.commit({"pay/b.yaml": entity("b", "service"), "c.yaml": entity("c")})

    second = since(reader, first[-1].cursor)

    assert (names(second), covers(second)) == (["c", "b"], ["c.yaml", "pay/b.yaml"])
    assert read.count("a.yaml") == 0
    assert sorted(set(read)) == ["c.yaml", "pay/b.yaml"]


def test_a_commit_that_changes_nothing_that_is_read_moves_the_cursor_on(origin, tmp_path, read):
    reader = source({"url": origin.url}, tmp_path)
    first = all_of(reader)
    read.clear()
    commit = origin.commit({"README.md": "more"})

    second = since(reader, first[-1].cursor)

    assert (names(second), covers(second), second[-1].cursor["commit"], read) == ([], [], commit, [])


def test_a_whole_run_doubts_a_pattern_that_no_file_matches_also_when_it_is_gone_on_with(origin, tmp_path):
    rule = {"files": ["*.yaml", "pay/*.yaml", "shop/*"], "entity": {"kind": "Component", "metadata.name": "kind"}}
    reader = source({"url": origin.url, "documents": [rule]}, tmp_path, chunk_size=1)
    whole = all_of(reader)
    rest = all_of(reader, whole[0].cursor)
    origin.commit({"c.yaml": entity("c")})
    later = since(reader, whole[-1].cursor)

    places = [[each.split(" matches")[0] for each in page.doubts] for page in (*whole, *rest, *later)]

    assert places == [[], doubted := ["connector git: connection.documents[0].files[2]"], doubted, []]


def test_what_is_gone_is_covered_and_not_seen(origin, tmp_path):
    reader = source({"url": origin.url}, tmp_path)
    first = all_of(reader)
    origin.commit({}, without=["pay/b.yaml"])

    second = since(reader, first[-1].cursor)

    assert (names(second), covers(second)) == ([], ["pay/b.yaml"])


def test_an_entity_that_moves_between_files_is_seen(origin, tmp_path):
    reader = source({"url": origin.url}, tmp_path)
    first = all_of(reader)
    origin.commit({"pay/c.yaml": entity("b")}, without=["pay/b.yaml"])

    second = since(reader, first[-1].cursor)

    assert (names(second), covers(second)) == (["b"], ["pay/b.yaml", "pay/c.yaml"])


def test_an_entity_that_stands_in_two_files_is_seen_when_it_goes_from_one(origin, tmp_path):
    origin.commit({"z.yaml": entity("a") + "---\n" + entity("z")})
    reader = source({"url": origin.url}, tmp_path)
    first = all_of(reader)
    origin.commit({"z.yaml": entity("z")})

    second = since(reader, first[-1].cursor)

    assert [(each.scope, each.change["entity"]["metadata"]["name"]) for each in second[0].items] == [
        ("z.yaml", "z"),
        ("a.yaml", "a"),
    ]
    assert covers(second) == ["z.yaml"]


def test_everything_is_covered_by_the_last_page_alone(origin, tmp_path):
    reader = source({"url": origin.url}, tmp_path, chunk_size=1)
    first = all_of(reader)
    origin.commit({"a.yaml": entity("a", "x"), "pay/b.yaml": entity("b", "x"), "c.yaml": entity("c")})

    second = since(reader, first[-1].cursor)

    assert [len(each.covers) for each in second] == [0, 0, 3]


def test_changes_that_broke_off_begin_again_from_the_same_commit(origin, tmp_path):
    reader = source({"url": origin.url}, tmp_path, chunk_size=1)
    first = all_of(reader)
    origin.commit({"a.yaml": entity("a", "x"), "pay/b.yaml": entity("b", "x")})

    second = since(reader, since(reader, first[-1].cursor)[0].cursor)

    assert (names(second), covers(second)) == (["a", "b"], ["a.yaml", "pay/b.yaml"])


def test_a_run_goes_on_within_its_commit_whatever_came_since(origin, tmp_path):
    reader = source({"url": origin.url}, tmp_path, chunk_size=1)
    first = all_of(reader)
    origin.commit({"c.yaml": entity("c")}, without=["pay/b.yaml"])

    rest = all_of(source({"url": origin.url}, tmp_path, chunk_size=1), first[0].cursor)

    assert (names(first), names(rest), rest[-1].cursor) == (["a", "b"], ["b"], first[-1].cursor)


def test_a_run_that_goes_on_says_again_what_could_not_be_read(origin, tmp_path):
    origin.commit({"A/catalog-info.yaml": "kind: ["})
    reader = source({"url": origin.url}, tmp_path, chunk_size=1)
    first = all_of(reader)

    rest = all_of(reader, next(each.cursor for each in first if each.cursor["after"] == "a.yaml"))

    assert [each.scope for one in rest for each in one.refused] == ["A/catalog-info.yaml"]


def test_a_forced_push_of_an_unrelated_history_reads_what_differs(origin, tmp_path):
    reader = source({"url": origin.url}, tmp_path)
    first = all_of(reader)
    origin.commit({"a.yaml": entity("a", "anew")}, without=["pay/b.yaml"], onto="-")

    second = since(reader, first[-1].cursor)

    assert (names(second), covers(second)) == (["a"], ["a.yaml", "pay/b.yaml"])


@pytest.mark.parametrize("changed", ["commit", "copy", "subdir", "ref"])
def test_a_cursor_that_leads_nowhere_is_expired(origin, tmp_path, changed):
    cursor = dict(all_of(source({"url": origin.url}, tmp_path))[-1].cursor)
    stated = {"url": origin.url}
    if changed == "commit":
        cursor["commit"] = "0" * 40
    elif changed == "copy":
        shutil.rmtree(tmp_path / "data")
        origin.commit({"c.yaml": entity("c")})
    else:
        stated |= {"subdir": "pay"} if changed == "subdir" else {"ref": "main"}

    with pytest.raises(CursorExpiredError):
        since(source(stated, tmp_path), cursor)
    if changed != "copy":
        with pytest.raises(CursorExpiredError):
            all_of(source(stated, tmp_path), cursor)


def location(target):
    return (entity("loc") + f"spec: {{targets: ['{target}']}}\n").replace("Component", "Location")


@pytest.mark.parametrize(
    ("before", "then"),
    [
        ({"all.yaml": location("./more/x.entity"), "more/x.entity": entity("x")}, {"more/x.entity": entity("y")}),
        ({"more/x.entity": entity("x")}, {"all.yaml": location("./more/x.entity")}),
        ({"all.yaml": location("./more/*"), "more/x": entity("x")}, {"more/y": entity("y")}),
        ({"x.entity": entity("x"), "l.yaml": (LINK, "x.entity")}, {"x.entity": entity("y")}),
        ({"x.entity": entity("x")}, {"l.yaml": (LINK, "x.entity")}),
    ],
)
def test_where_files_lead_to_others_all_is_read_each_time(origin, tmp_path, before, then):
    origin.commit(before)
    reader = source({"url": origin.url}, tmp_path)
    first = all_of(reader)
    origin.commit(then)

    with pytest.raises(CursorExpiredError):
        since(reader, first[-1].cursor)


def test_a_location_to_files_that_are_read_anyway_reads_only_what_differs(origin, tmp_path):
    origin.commit({"all.yaml": location("./pay/*.yaml")})
    reader = source({"url": origin.url}, tmp_path)
    first = all_of(reader)
    origin.commit({"pay/c.yaml": entity("c")})

    assert names(since(reader, first[-1].cursor)) == ["c"]


def test_links_lead_nowhere_outside_and_submodules_are_left_out(origin, tmp_path):
    origin.commit(
        {
            "in.yaml": (LINK, "pay/x.entity"),
            "pay/x.entity": entity("x"),
            "out.yaml": (LINK, "../../etc/passwd"),
            "root.yaml": (LINK, "/etc/passwd"),
            "circle.yaml": (LINK, "circle.yaml"),
            "gone.yaml": (LINK, "nowhere"),
            "sub.yaml": (SUBMODULE, ""),
            "bin.yaml": (0o100755, entity("bin")),
        }
    )

    pages = all_of(source({"url": origin.url}, tmp_path))

    assert (FILE, names(pages)) == (0o100644, ["a", "bin", "x", "b"])
    assert refusals(pages) == [
        ("circle.yaml:1", "the file cannot be read"),
        ("gone.yaml:1", "the file cannot be read"),
        ("out.yaml:1", "the link leads out of the directory"),
        ("root.yaml:1", "the link leads out of the directory"),
    ]


def test_a_branch_a_tag_and_a_commit_can_be_named(origin, tmp_path):
    old = origin.commit({})
    origin.tag("v1", old)
    origin.commit({"c.yaml": entity("c")})
    origin.commit({"d.yaml": entity("d")}, branch="next/one")

    found = {
        ref: names(all_of(source({"url": origin.url, "ref": ref}, tmp_path / ref.replace("/", "-"))))
        for ref in ("main", "next/one", "v1", "refs/heads/main", old)
    }

    assert found == {
        "main": ["a", "c", "b"],
        "next/one": ["a", "c", "d", "b"],
        "v1": ["a", "b"],
        "refs/heads/main": ["a", "c", "b"],
        old: ["a", "b"],
    }


def test_only_a_directory_can_be_read(origin, tmp_path):
    assert names(all_of(source({"url": origin.url, "subdir": "pay/"}, tmp_path))) == ["b"]


@pytest.mark.parametrize(
    ("stated", "said"),
    [({"ref": "nowhere"}, "connection.ref"), ({"ref": "1" * 40}, "connection.ref"), ({"subdir": "x/y"}, "x/y")],
)
def test_a_ref_or_directory_that_is_not_there_is_told(origin, tmp_path, stated, said):
    with pytest.raises(NotFoundError, match=said):
        all_of(source({"url": origin.url} | stated, tmp_path))


def test_nothing_of_the_files_is_written_but_their_packs(origin, tmp_path):
    all_of(source({"url": origin.url}, tmp_path))

    assert list((tmp_path / "data").rglob("*.yaml")) == []


def test_only_the_newest_commit_is_fetched(connection, origin, tmp_path):
    old = origin.commit({})
    origin.commit({"c.yaml": entity("c")})
    stated, secret = connection
    reader = source(stated, tmp_path, secret=secret)
    all_of(reader)

    with pytest.raises(CursorExpiredError, match="does not hold"):
        all_of(reader, {**all_of(reader)[-1].cursor, "commit": old})
