"""The descriptors of a directory."""

import os
from pathlib import Path

import pytest

from sources import catalog_files
from sources.catalog_files import walk

ENTITY = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: %s}\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def location(*targets: str, extra: str = "") -> str:
    return ENTITY.replace("Component", "Location") % "loc" + f"spec: {{targets: {list(targets)}{extra}}}\n"


def names(root: Path) -> list[str]:
    return [d.entity["metadata"]["name"] if d.entity else f"{d.file}:{d.line}: {d.error}" for d in walk(root)]


def test_descriptors_are_found_anywhere_in_a_stable_order(tmp_path):
    write(tmp_path, {f: ENTITY % f.replace("/", ".") for f in ("b.yml", "a/z.yaml", "a/b/c.json", "catalog-info.yaml")})
    assert names(tmp_path) == ["a.b.c.json", "a.z.yaml", "b.yml", "catalog-info.yaml"]


def test_files_are_named_relative_to_the_root_with_their_lines(tmp_path):
    write(tmp_path, {"a/b.yaml": "# c\n" + ENTITY % "x" + "---\n" + ENTITY % "y"})
    assert [(d.file, d.line) for d in walk(tmp_path)] == [("a/b.yaml", 2), ("a/b.yaml", 6)]


def test_other_documents_and_other_files_are_left_out(tmp_path):
    write(
        tmp_path,
        {
            "values.yaml": "a: 1\n---\n" + ENTITY % "x",
            "list.json": "[1]",
            "chart.yaml": "{{ broken",
            "notes.md": ENTITY % "md",
            "blank.yaml": "# nothing yet",
        },
    )
    assert names(tmp_path) == ["x"]


def test_a_catalog_info_is_reported_whatever_is_in_it(tmp_path):
    write(tmp_path, {"catalog-info.yaml": "- 1\n---\na: [\n"})
    assert [(d.line, d.error is None) for d in walk(tmp_path)] == [(1, False), (3, False)]


def test_a_broken_descriptor_is_reported_and_the_rest_goes_on(tmp_path):
    write(tmp_path, {"a.yaml": ENTITY % "x" + "kind: Again\n---\n" + ENTITY % "y", "b.yaml": ENTITY % "z"})
    assert names(tmp_path) == ["a.yaml:1: it cannot be read: a key that is given twice (line 4)", "y", "z"]


def test_git_and_node_modules_are_skipped_and_other_hidden_directories_are_not(tmp_path):
    write(tmp_path, {f"{d}/a.yaml": ENTITY % "x" for d in (".git", "node_modules", "a/node_modules", "b/.git")})
    write(tmp_path, {".github/a.yaml": ENTITY % "github"})
    assert names(tmp_path) == ["github"]


def test_locations_are_followed_to_files_of_any_name_each_once(tmp_path):
    write(
        tmp_path,
        {
            "all.yaml": location("./more/one.entity", "./more/*.entity", "more/**/two.entity", "./plain.yaml"),
            "more/one.entity": ENTITY % "one" + "---\n" + location("deep/../deep/two.entity"),
            "more/deep/two.entity": ENTITY % "two",
            "plain.yaml": ENTITY % "plain",
        },
    )
    assert sorted(names(tmp_path)) == ["loc", "loc", "one", "plain", "two"]


def test_a_single_target_is_followed(tmp_path):
    write(tmp_path, {"a.yaml": location().replace("targets: []", "target: ./x"), "x": ENTITY % "x"})
    assert names(tmp_path) == ["loc", "x"]


@pytest.mark.parametrize("target", ["https://x.io/a.yaml", "file:///etc/passwd", "${{ values.x }}.yaml"])
def test_targets_elsewhere_are_not_followed(tmp_path, target):
    write(tmp_path, {"a.yaml": location(target)})
    assert names(tmp_path) == ["loc"]


@pytest.mark.parametrize("target", ["../x.yaml", "a/../../x.yaml", "/etc/passwd", "../*.yaml", "./../root2/x.yaml"])
def test_a_target_outside_the_directory_is_reported_and_not_read(tmp_path, target):
    write(tmp_path, {"root/a.yaml": location(target), "x.yaml": ENTITY % "x", "root2/x.yaml": ENTITY % "x"})
    assert names(tmp_path / "root") == [
        "loc",
        f"a.yaml:1: a target of this Location lies outside the directory: {target}",
    ]


@pytest.mark.parametrize("target", ["gone.yaml", "gone/*.yaml", "a**b/x", "x" * 5000, "d"])
def test_a_target_that_is_not_there_is_reported_unless_it_is_optional(tmp_path, target):
    write(tmp_path, {"a.yaml": location(target), "d/x": ""})
    called = target if len(target) <= 100 else "number 1"
    assert names(tmp_path) == ["loc", f"a.yaml:1: a target of this Location is not there: {called}"]
    write(tmp_path, {"a.yaml": location(target, extra=", presence: optional")})
    assert names(tmp_path) == ["loc"]


def test_each_target_that_is_not_there_is_named_or_counted_where_a_line_cannot_show_it(tmp_path):
    bad = (
        location("gone.yaml", "\x1b[2J\u202e", "a b.yaml")
        .replace("'", '"')
        .replace("spec: {", 'spec: {target: "x\\ny", ')
    )
    write(tmp_path, {"a.yaml": bad})
    told = "a.yaml:1: a target of this Location is not there: "
    assert names(tmp_path)[1:] == [told + each for each in ("spec.target", "gone.yaml", "number 2", "a b.yaml")]


@pytest.mark.parametrize("version", ["backstage.io/v1alpha1", "scaffolder.backstage.io/v1beta3"])
def test_a_descriptor_of_backstage_without_a_kind_is_reported_in_any_file(tmp_path, version):
    text = "apiVersion: %s\nknd: Component\nmetadata: {name: x}\n"
    files = dict.fromkeys(("a.yaml", "catalog-info.yaml"), text % version)
    others = {
        f"{n}.yaml": text % other
        for n, other in enumerate(("v1", "1", "[]", "notbackstage.io/v1", "a/backstage.io/v1"))
    }
    write(tmp_path, {**files, **others, "b.yaml": ENTITY % "b"})
    told = "1: it has an apiVersion of Backstage and no kind: add it, or correct how it is spelt"
    assert names(tmp_path) == [f"a.yaml:{told}", "b", f"catalog-info.yaml:{told}"]


def test_a_descriptor_without_a_kind_that_may_be_a_location_hides_what_it_would_bring_in(tmp_path):
    write(tmp_path, {"a.yaml": location("b.x").replace("kind", "knd"), "c.yaml": (ENTITY % "c").replace("kind", "knd")})
    assert [(each.file, each.hides) for each in walk(tmp_path)] == [("a.yaml", True), ("c.yaml", False)]


def test_links_out_of_the_directory_are_reported_and_not_read(tmp_path):
    write(tmp_path, {"x.yaml": ENTITY % "x", "out/y.yaml": ENTITY % "y", "root/a.yaml": ENTITY % "a"})
    root = tmp_path / "root"
    (root / "file.yaml").symlink_to(tmp_path / "x.yaml")
    (root / "directory").symlink_to(tmp_path / "out")
    write(root, {"b.yaml": location("directory/y.yaml", "directory/*.yaml")})
    assert names(root) == [
        "a",
        "loc",
        "file.yaml:1: the link leads out of the directory",
        "directory/y.yaml:1: the link leads out of the directory",
    ]


def test_links_within_the_directory_are_read_once_and_loops_end(tmp_path):
    write(tmp_path, {"a.yaml": ENTITY % "a"})
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.yaml")
    assert names(tmp_path) == [
        "a",
        "gone.yaml:1: the file cannot be read",
        "loop.yaml:1: the file cannot be read",
    ]


def test_a_file_that_is_too_large_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog_files, "MAX_BYTES", 100)
    write(tmp_path, {"a.yaml": ENTITY % ("x" * 100), "b.yaml": ENTITY % "b"})
    assert names(tmp_path) == ["a.yaml:1: the file has more than 100 bytes", "b"]


def test_an_empty_file_is_reported_as_it_may_be_about_to_be_written(tmp_path):
    write(tmp_path, {"a.yaml": "", "b.yaml": ENTITY % "b", "notes.md": ""})
    assert names(tmp_path) == ["a.yaml:1: the file is empty, as one is that is about to be written", "b"]


def test_a_directory_that_is_not_there_is_reported(tmp_path):
    assert [d.error for d in walk(tmp_path / "gone")] == ["the directory cannot be read"]


def test_a_template_skeleton_is_what_it_is(tmp_path):
    write(tmp_path, {"skeleton/catalog-info.yaml": ENTITY % "'${{ values.name }}'"})
    assert names(tmp_path) == ["${{ values.name }}"]
