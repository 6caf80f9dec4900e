"""Names and settings of the topics."""

from dataclasses import replace

import pytest

from schemas.errors import TopicMismatchError
from schemas.topics import ExistingTopic, Topics, differences, require

TOPICS = Topics()


def existing(definition, **config):
    return ExistingTopic(name=definition.name, partitions=definition.partitions, config={**definition.config, **config})


@pytest.mark.parametrize("prefix", ["mainstem", "acme.prod"])
def test_every_name_begins_with_the_prefix(prefix):
    names = {definition.name for definition in Topics(prefix=prefix).definitions(["git"])}
    assert names >= {
        f"{prefix}.changes.git",
        f"{prefix}.entities",
        f"{prefix}-processor-records-changelog",
        f"{prefix}.service.updated",
        f"{prefix}.dead-letters",
    }


DAY = 24 * 3600 * 1000
LARGE = {"max.message.bytes": str(8 * 1024 * 1024)}
CONFIGS = {
    "mainstem.changes.git": {
        "cleanup.policy": "delete", "retention.ms": str(7 * DAY),
        "message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "3600000",
    },
    "mainstem.entities": {"cleanup.policy": "compact", "delete.retention.ms": str(7 * DAY), **LARGE},
    "mainstem.service.updated": {"cleanup.policy": "delete", "retention.ms": str(7 * DAY), **LARGE},
    "mainstem.dead-letters": {"cleanup.policy": "delete", "retention.ms": str(30 * DAY), **LARGE},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_a_topic_is_kept_as_the_contract_says(name):
    configs = {one.name: one.config for one in Topics(replication_factor=1).definitions(["git"])}
    assert configs[name] == CONFIGS[name]


def test_the_changelog_keeps_old_versions_for_a_day():
    config = {one.name: one.config for one in TOPICS.definitions([])}[TOPICS.changelog]
    assert (config["cleanup.policy"], config["min.compaction.lag.ms"]) == ("compact", str(DAY))


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("mainstem.changes.git", "git"),
        ("mainstem.changes.a-1", "a-1"),
        ("mainstem.changes.", None),
        ("mainstem.changes.Git", None),
        ("mainstem.changes.a.b", None),
        ("mainstem.changes." + "a" * 64, None),
        ("mainstem.entities", None),
        ("other.changes.git", None),
    ],
)
def test_the_topic_names_the_connector(topic, expected):
    assert TOPICS.connector_of(topic) == expected


def test_a_topic_that_is_as_it_should_be_has_no_differences():
    wanted = TOPICS.changes_definition("git")
    assert differences(wanted, existing(wanted)) == []


def test_what_differs_is_named():
    wanted = TOPICS.changes_definition("git")
    (sentence,) = differences(wanted, existing(wanted, **{"retention.ms": "1"}))
    assert "retention.ms=1" in sentence


@pytest.mark.parametrize("change", [{"cleanup.policy": "compact"}, {"message.timestamp.type": "LogAppendTime"}])
def test_a_worker_refuses_what_would_lose_data(change):
    wanted = TOPICS.changes_definition("git")
    with pytest.raises(TopicMismatchError):
        require(wanted, existing(wanted, **change))


def test_a_worker_refuses_another_number_of_partitions():
    wanted = TOPICS.changes_definition("git")
    with pytest.raises(TopicMismatchError, match="has 11 partitions, 12 are needed"):
        require(wanted, replace(existing(wanted), partitions=11))


def test_a_worker_refuses_a_missing_topic():
    with pytest.raises(TopicMismatchError):
        require(TOPICS.changes_definition("git"), None)


def test_a_worker_starts_on_another_retention():
    wanted = TOPICS.changes_definition("git")
    require(wanted, existing(wanted, **{"retention.ms": "1"}))
