"""The Kafka cluster as Mainstem needs it: how clients reach it, and its topics made and checked."""

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from mainstem.configuration.kafka import KafkaConfig
from mainstem.refusals import is_denied, is_final, unavailable
from mainstem.security import librdkafka_settings
from schemas.errors import ConfigError, UnavailableError
from schemas.topics import ExistingTopic, TopicDefinition, Topics, differences, require

Client = Mapping[str, str | int | bool]
"""Settings of librdkafka that every client of one cluster shares."""

ANSWER_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.2


def client_settings(kafka: KafkaConfig, bootstrap_servers: str) -> dict[str, str | int | bool]:
    """Return what librdkafka's clients need to reach the cluster."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": "mainstem",
        "reconnect.backoff.max.ms": 1_000,
        # A cluster that is away is reported by whoever asked it something, in a sentence.
        "log_level": 0,
        **librdkafka_settings(kafka),
    }


_OCCUPIED: Final = (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP)


class Cluster:
    """Questions to the cluster and its topics. Every method raises UnavailableError when nobody answers."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._faults: list[KafkaError] = []
        try:
            self._admin = AdminClient({**client, "error_cb": self._faults.append})
        except KafkaException as error:
            raise ConfigError(f"kafka: these settings open no client: {error.args[0].str()}") from None

    def topic_names(self) -> set[str]:
        return set(self._metadata().topics)

    def cluster_id(self) -> str:
        return str(self._metadata().cluster_id)

    def existing(self, names: Iterable[str]) -> dict[str, ExistingTopic]:
        """Return those of *names* that exist, as the cluster describes them. One that is hidden from us is an error."""
        found = self._metadata().topics
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        if not resources:
            return {}
        configs = self._admin.describe_configs(resources, request_timeout=ANSWER_SECONDS)
        told = {
            resource.name: self._told(answer, absent=KafkaError.UNKNOWN_TOPIC_OR_PART)
            for resource, answer in configs.items()
        }
        return {
            name: ExistingTopic(
                name=name,
                partitions=len(found[name].partitions),
                config={entry.name: entry.value for entry in config.values()},
            )
            for name, config in told.items()
            if config is not None and name in found
        }

    def create(self, definitions: Iterable[TopicDefinition]) -> list[str]:
        """Make those topics that do not exist; return their names. An existing one is never altered."""
        known = self.topic_names()
        missing = [
            NewTopic(each.name, each.partitions, each.replication_factor, config=dict(each.config))
            for each in definitions
            if each.name not in known
        ]
        if not missing:
            return []
        created = []
        for name, answer in self._admin.create_topics(missing, operation_timeout=ANSWER_SECONDS).items():
            try:
                self._result(answer)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                raise UnavailableError(f"Kafka did not create topic {name}: {error.args[0].str()}") from None
            created.append(name)
        self._await([each.topic for each in missing])
        return sorted(created)

    def _await(self, names: Collection[str]) -> None:
        """Return when whoever asks sees all of *names*, or may not see them: a broker knows a new topic a little later
        than the controller that has acknowledged it.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self.topic_names().issuperset(names) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)

    def check(self, definitions: Iterable[TopicDefinition]) -> list[str]:
        """Return a sentence for each difference between the topics wanted and those that exist."""
        wanted = list(definitions)
        found = self.existing(each.name for each in wanted)
        return [row for each in wanted for row in differences(each, found.get(each.name))]

    def require(self, definitions: Iterable[TopicDefinition]) -> None:
        """Raise TopicMismatchError unless a worker can trust these topics."""
        wanted = list(definitions)
        found = self.existing(each.name for each in wanted)
        for each in wanted:
            require(each, found.get(each.name))

    def changes_topics(self, topics: Topics) -> set[str]:
        """Return every changes topic that exists, configured or not."""
        return {name for name in self.topic_names() if topics.connector_of(name)}

    def members(self, group: str) -> set[str]:
        """Return the instance ids of the static members that a consumer group has now."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            answer = self._admin.describe_consumer_groups([group], request_timeout=ANSWER_SECONDS)[group]
            try:
                found = self._result(answer).members
            except KafkaException as error:
                if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                    return set()
                fault = self._unavailable(error.args[0])
                if is_denied(error.args[0]) or is_final(self._faults) or time.monotonic() >= deadline:
                    raise fault from None
                # On a fresh cluster, and after a broker went, a group has no coordinator for a moment.
                time.sleep(_PAUSE_SECONDS)
            else:
                return {each.group_instance_id for each in found if each.group_instance_id}

    def reset_offsets(self, group: str, offsets: Mapping[tuple[str, int], int]) -> bool:
        """Set what a consumer group has committed; False, and nothing done, while a member of it is alive."""
        wanted = [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
        asked = [ConsumerGroupTopicPartitions(group, wanted)]
        answer = self._admin.alter_consumer_group_offsets(asked, request_timeout=ANSWER_SECONDS)[group]
        told = self._told(answer, absent=KafkaError.NON_EMPTY_GROUP)
        faults = [] if told is None else [each.error for each in told.topic_partitions if each.error]
        if told is None or any(each.code() in _OCCUPIED for each in faults):
            return False
        if not faults:
            return True
        raise self._unavailable(faults[0])

    def _metadata(self) -> Any:
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return self._admin.list_topics(timeout=_LOOK_SECONDS)
            except KafkaException as error:
                fault = self._unavailable(error.args[0])
                if is_final(self._faults) or time.monotonic() >= deadline:
                    raise fault from None

    def _told(self, answer: Any, *, absent: int) -> Any:
        """Return the answer, None when what was asked about is *absent*."""
        try:
            return self._result(answer)
        except KafkaException as error:
            if error.args[0].code() == absent:
                return None
            raise self._unavailable(error.args[0]) from None

    def _result(self, answer: Any) -> Any:
        try:
            return answer.result(timeout=ANSWER_SECONDS * 2)
        except TimeoutError:
            raise UnavailableError(f"Kafka at {self._client['bootstrap.servers']} does not answer") from None

    def _unavailable(self, error: KafkaError) -> UnavailableError:
        self._admin.poll(0)  # faults are told in here alone
        return unavailable(error, self._faults, self._client)
