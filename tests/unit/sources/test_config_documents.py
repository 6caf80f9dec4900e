"""Any YAML and JSON as entities, by the rules of `connection.documents`."""

import os
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from sources.base import Item, Refused, SourceSettings
from sources.config_documents import reading_of
from sources.files import DirectoryFiles

KIND = {"kind": "Component", "metadata.name": "name"}


def settings(*rules):
    return SourceSettings(connector="central", connection={"documents": list(rules)})


def found(root, *rules):
    return list(reading_of(settings(*rules)).over(DirectoryFiles(root)).whole())


def told(root, *rules):
    return [each.change if isinstance(each, Item) else (each.place, each.reason) for each in found(root, *rules)]


def write(root, name, text):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_each_document_of_a_file_becomes_an_entity(tmp_path):
    write(tmp_path, "s/pay.yaml", "name: pay\nteam: {id: team-pay}\ntier: 1\n---\nname: cart\n")
    rule = {
        "files": "s/*.yaml",
        "entity": KIND | {"spec.owner": "team.id", "spec.type": "'service'"},
        "service": {"tier": "tier"},
    }

    assert told(tmp_path, rule) == [
        {
            "entity": {
                "apiVersion": "backstage.io/v1alpha1",
                "kind": "Component",
                "metadata": {"name": "pay"},
                "spec": {"owner": "team-pay", "type": "service"},
            },
            "service": {"tier": 1},
        },
        {
            "entity": {
                "apiVersion": "backstage.io/v1alpha1",
                "kind": "Component",
                "metadata": {"name": "cart"},
                "spec": {"type": "service"},
            }
        },
    ]


def test_each_element_of_a_list_sees_its_document_and_its_file(tmp_path):
    write(
        tmp_path, "a/b/pay.json", '{"team": "team-pay", "services": [{"name": "pay"}, {"name": "cart", "team": "x"}]}'
    )
    fields = {"spec": {"owner": "_document.team", "mine": "team", "at": "_file.[path, name, directory]"}}

    specs = [
        each["entity"]["spec"] for each in told(tmp_path, {"files": "**", "each": "services", "entity": KIND | fields})
    ]

    at = ["a/b/pay.json", "pay", "b"]
    assert specs == [{"owner": "team-pay", "at": at}, {"owner": "team-pay", "mine": "x", "at": at}]


def test_each_entry_of_an_object_has_its_key(tmp_path):
    write(tmp_path, "x.yaml", "services:\n  pay: {tier: 1}\n  cart:\n  text: hello\n")
    rule = {
        "files": ["x.yaml"],
        "each": "services",
        "entity": {"apiVersion": "acme.com/v1", "kind": "Component", "metadata": {"name": "_key"}},
        "service": {"tier": "tier", "said": "_value"},
    }

    changes = told(tmp_path, rule)

    assert [each["entity"]["metadata"]["name"] for each in changes] == ["pay", "cart", "text"]
    assert [each.get("service") for each in changes] == [{"tier": 1, "said": {"tier": 1}}, None, {"said": "hello"}]
    assert changes[0]["entity"]["apiVersion"] == "acme.com/v1"


def test_a_document_may_be_a_list(tmp_path):
    write(tmp_path, "x.yaml", "- name: pay\n- name: cart\n")
    assert [each.place for each in found(tmp_path, {"files": "*.yaml", "each": "_value", "entity": KIND})] == [
        "x.yaml:1[0]",
        "x.yaml:1[1]",
    ]


def test_keys_of_any_characters_can_be_set(tmp_path):
    write(tmp_path, "x.yaml", "name: pay\ntier: one\n")
    rule = {
        "files": "x.yaml",
        "entity": KIND | {"metadata.annotations['acme.com/tier']": "tier", 'spec."a.b".c': "tier"},
    }

    entity = told(tmp_path, rule)[0]["entity"]

    assert (entity["metadata"]["annotations"], entity["spec"]) == ({"acme.com/tier": "one"}, {"a.b": {"c": "one"}})


def test_a_file_becomes_what_every_rule_makes_of_it(tmp_path):
    write(tmp_path, "x.yaml", "name: pay\nowner: team-pay\n")
    group = {"files": "x.*", "entity": {"kind": "Group", "metadata.name": "owner"}}

    kinds = [each["entity"]["kind"] for each in told(tmp_path, {"files": "*.yaml", "entity": KIND}, group)]

    assert kinds == ["Component", "Group"]


def test_what_cannot_be_mapped_is_refused_with_file_and_line_and_without_its_text(tmp_path):
    write(tmp_path, "a.yaml", "# about\nnom: s3cret\n---\nname: pay\n---\n\nname: [\n")
    write(tmp_path, "b.yaml", "text: s3cret\n")
    rule = {"files": "a.yaml", "entity": KIND}
    of_each = {"files": "b.yaml", "each": "services", "entity": KIND}
    broken = {"files": "b.yaml", "entity": KIND | {"metadata.name": "sum(text)"}}

    refused = [each for each in found(tmp_path, rule, of_each, broken) if isinstance(each, Refused)]

    assert [(each.place, each.scope) for each in refused] == [
        ("a.yaml:2", "a.yaml"),
        ("a.yaml:7", "a.yaml"),
        ("b.yaml:1", "b.yaml"),
        ("b.yaml:1", "b.yaml"),
    ]
    assert "connection.documents[0].entity.metadata.name finds nothing here" in refused[0].reason
    assert "connection.documents[1].each finds no list and no object here" in refused[2].reason
    assert "s3cret" not in "".join(each.reason for each in refused)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*.yaml", ["a.yaml", "d/b.yaml", "d/e/c.yaml"]),
        ("*.yaml", ["a.yaml"]),
        ("d/**", ["d/b.yaml", "d/e/c.yaml", "d/x.json"]),
        ("d/?.yaml", ["d/b.yaml"]),
        (["./a.yaml", "d/*.json"], ["a.yaml", "d/x.json"]),
        ("d/[b].yaml", []),
    ],
)
def test_patterns_name_files_and_nothing_else_is_read(tmp_path, pattern, names):
    for name in ("a.yaml", "d/b.yaml", "d/e/c.yaml", "d/x.json", ".git/x.yaml", "node_modules/x.yaml"):
        write(tmp_path, name, "name: x\n")

    assert sorted(each.scope for each in found(tmp_path, {"files": pattern, "entity": KIND})) == names


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("x", "must be an object"),
        ({"files": "*", "entity": KIND, "mapping": {}}, "mapping: unknown key"),
        ({"entity": KIND}, "files must be a pattern"),
        ({"files": [], "entity": KIND}, "files must be a pattern"),
        ({"files": "*"}, "must say kind and metadata.name"),
        ({"files": "*", "entity": {"kind": "Component"}}, "must say kind and metadata.name"),
        ({"files": "*", "entity": KIND | {"spec": 1}}, "must be an expression"),
        ({"files": "*", "entity": KIND | {"spec..x": "a"}}, "is no path"),
        ({"files": "*", "entity": KIND | {"metadata": "a"}}, "is said twice"),
        ({"files": "*", "entity": KIND | {"metadata": {"name": "a"}}}, "is said twice"),
        ({"files": "*", "entity": KIND | {"spec.owner": "a["}}, "spec.owner"),
        ({"files": "*", "entity": KIND, "each": 1}, "each must be an expression"),
        ({"files": "*", "entity": KIND, "service": []}, "must be an object"),
    ],
)
def test_a_rule_that_cannot_be_used_is_told_with_its_place(rule, said):
    with pytest.raises(ConfigError, match=said) as refused:
        reading_of(settings(rule))

    assert str(refused.value).startswith("connector central: connection.documents[0]")


_DATA = Path(__file__).parents[3].parent / "shared/data/kafka-topologies"


@pytest.mark.skipif(not _DATA.is_dir(), reason="the files of other projects are not on this machine")
def test_real_topologies_become_resources():
    entity = {"kind": "Resource", "metadata.name": "metadata.name", "spec.type": "'kafka-topic'"}
    strimzi = {"files": "strimzi__*/*topic*kafka-topic.yaml", "entity": entity}
    services = {
        "files": "devshawn__*/*services.yaml",
        "each": "services",
        "entity": {"kind": "Component", "metadata.name": "_key", "spec.type": "type"},
    }
    julie = {
        "files": "kafka-ops__julie/example__descriptor.yaml",
        "each": "projects[].topics[]",
        "entity": entity | {"metadata.name": "name", "spec.system": "_document.context"},
    }

    pages = found(_DATA, strimzi, services, julie)

    kinds = [each.change["entity"]["kind"] for each in pages if isinstance(each, Item)]
    assert [each for each in pages if isinstance(each, Refused)] == []
    assert (kinds.count("Resource") > 2, kinds.count("Component")) == (True, 1)


def doubted(root, *rules):
    one_pass = reading_of(settings(*rules)).over(DirectoryFiles(root))
    list(one_pass.whole())
    return [each.partition(" matches none")[0].rpartition("documents")[2] for each in one_pass.doubts()]


def test_each_pattern_that_no_file_matches_is_doubted(tmp_path):
    for name in ("s/pay.yaml", "node_modules/x/cart.yaml"):
        write(tmp_path, name, "name: pay\n")
    rules = [
        {"files": "s/*.yml", "entity": KIND},
        {"files": ["**/cart.yaml", "./s/**", "pay.yaml"], "entity": KIND},
        {"files": "**", "entity": KIND},
    ]

    assert doubted(tmp_path, *rules) == ["[0].files", "[1].files[0]", "[1].files[2]"]


def test_where_a_directory_could_not_be_read_no_pattern_is_doubted(tmp_path, monkeypatch):
    write(tmp_path, "s/pay.yaml", "name: pay\n")
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: real(f"{path}-gone" if path.endswith("s") else path))

    assert doubted(tmp_path, {"files": "s/*.yaml", "entity": KIND}) == []


def test_an_expression_that_found_nothing_in_any_element_is_doubted(tmp_path):
    write(tmp_path, "s/pay.yaml", "name: pay\nchat: '#pay'\n---\nname: cart\nabout: Carries\n")
    write(tmp_path, "broken.yaml", "name: [\n")
    rules = [
        {"files": "**/*.yaml", "entity": KIND | {"metadata.description": "about", "spec.owner": "taem"}},
        {"files": "s/*.yaml", "entity": KIND, "service": {"slackChannel": "chat", "tier": "teir"}},
        {"files": "s/*.yaml", "each": "`[]`", "entity": KIND},
    ]
    one_pass = reading_of(settings(*rules)).over(DirectoryFiles(tmp_path))
    list(one_pass.whole())

    whose = "connector central: connection.documents"
    assert list(one_pass.doubts()) == [
        f"{whose}[0].entity.spec.owner (taem) found nothing in any entity; looked at: 2; refused: 1",
        f"{whose}[1].service.tier (teir) found nothing in any entity; looked at: 2",
    ]
