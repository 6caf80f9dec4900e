"""Type `git` over a directory: each file is a scope of its own."""

import asyncio
import os

import pytest

from schemas.errors import NotFoundError
from sources.base import SourceSettings
from sources.git import GitSource

ENTITY = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: %s}\n"


def read(root, chunk_size=50, **connection):
    settings = SourceSettings(
        connector="git", connection={"path": "."} | connection, base_dir=root, chunk_size=chunk_size
    )
    return asyncio.run(collected(GitSource(settings)))


async def collected(source):
    return [each async for each in source.pages(None)]


def test_a_page_has_no_cursor_and_ends_between_two_files(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.yaml").write_text((ENTITY % name + "---\n") * 2)

    pages = read(tmp_path, chunk_size=3)

    assert [([each.scope for each in one.items], one.cursor) for one in pages] == [
        (["a.yaml", "a.yaml", "b.yaml", "b.yaml"], None),
        (["c.yaml", "c.yaml"], None),
    ]


def test_a_file_that_cannot_be_read_keeps_its_own_scope_alone(tmp_path):
    (tmp_path / "a.yaml").write_text(ENTITY % "a")
    (tmp_path / "b.yaml").symlink_to("gone")
    (tmp_path / "catalog-info.yaml").write_text(ENTITY % "c" + "---\nkind: [\n")

    (page,) = read(tmp_path)

    assert [each.scope for each in page.refused] == ["b.yaml", "catalog-info.yaml"]
    assert ([each.scope for each in page.items], page.unread) == (["a.yaml", "catalog-info.yaml"], {})


def test_a_descriptor_whose_kind_is_misspelt_keeps_what_its_file_said(tmp_path):
    (tmp_path / "a.yaml").write_text((ENTITY % "a").replace("kind", "knd"))
    (tmp_path / "b.yaml").write_text(ENTITY % "b")

    (page,) = read(tmp_path)

    assert [(each.place, each.scope) for each in page.refused] == [("a.yaml:1", "a.yaml")]


def test_a_location_that_cannot_be_read_keeps_whatever_it_may_have_led_to(tmp_path):
    (tmp_path / "a.yaml").write_text(ENTITY % "a")
    (tmp_path / "all.yaml").write_text((ENTITY % "all").replace("Component", "Location") + "spec: {targets: [./x.txt\n")
    (tmp_path / "x.txt").write_text(ENTITY % "x")

    (page,) = read(tmp_path)

    assert [(each.place, each.scope) for each in page.refused] == [("all.yaml:1", "")]


@pytest.mark.skipif(
    os.geteuid() == 0, reason="to the superuser, directories that cannot be read are not on this machine"
)
def test_a_directory_that_cannot_be_read_is_an_unread_scope(tmp_path):
    (tmp_path / "d").mkdir(mode=0)

    (page,) = read(tmp_path)

    assert page.unread == {"d": "the directory cannot be read"}


def test_a_directory_that_goes_while_it_is_read_is_an_unread_scope(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text(ENTITY % "a")
    (tmp_path / "d").mkdir()
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: real(f"{path}-gone" if path.endswith("d") else path))

    (page,) = read(tmp_path)

    assert [each.scope for each in page.items] == ["a.yaml"]
    assert list(page.unread.values()) == ["the directory cannot be read"]


def test_a_directory_that_is_not_there_fails_the_run(tmp_path):
    with pytest.raises(NotFoundError, match="is not a directory"):
        read(tmp_path, path="gone")


def test_a_directory_cannot_tell_what_changed(tmp_path):
    assert GitSource(SourceSettings(connector="git", connection={"path": str(tmp_path)})).changes({}) is None


def test_a_directory_can_be_read_by_rules(tmp_path):
    (tmp_path / "pay.json").write_text('{"id": "pay"}')
    rule = {"files": "*.json", "entity": {"kind": "Component", "metadata.name": "id"}}

    (page,) = read(tmp_path, documents=[rule])

    assert [each.change["entity"]["metadata"] for each in page.items] == [{"name": "pay"}]


def test_a_directory_without_any_descriptor_is_doubted(tmp_path):
    (tmp_path / "values.yaml").write_text("replicas: 3\n")

    (page,) = read(tmp_path)

    assert (page.items, [each.split(";")[0] for each in page.doubts]) == (
        [],
        ["connection: there is no Backstage descriptor in any file"],
    )


@pytest.mark.parametrize("text", [ENTITY % "a", ENTITY % "a" + "spec: [\n"])
def test_a_descriptor_that_is_read_or_refused_is_no_doubt(tmp_path, text):
    (tmp_path / "catalog-info.yaml").write_text(text)

    assert [each.doubts for each in read(tmp_path)] == [()]


def test_the_last_page_doubts_a_pattern_that_no_file_matches(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.json").write_text('{"id": "pay"}')
    rule = {"files": ["*.json", "*.jsn"], "entity": {"kind": "Component", "metadata.name": "id"}}

    pages = read(tmp_path, chunk_size=2, documents=[rule])

    place = "connector git: connection.documents[0].files[1]"
    assert [list(each.doubts) for each in pages] == [
        [],
        [],
        [f"{place} matches none of 3 files; it is compared with a file's whole path, such as a.json"],
    ]
