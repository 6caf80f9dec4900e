"""The Kafka cluster as Mainstem needs it: how clients reach it, and its topics made and checked."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from mainstem.configuration.kafka import KafkaConfig
from schemas.errors import ConfigError, UnavailableError
from schemas.topics import ExistingTopic, TopicDefinition, Topics, differences, require

Client = Mapping[str, str | int | bool]
"""Settings of librdkafka that every client of one cluster shares."""

ANSWER_SECONDS: Final = 10.0


def client_settings(kafka: KafkaConfig, bootstrap_servers: str) -> dict[str, str | int | bool]:
    """Return what librdkafka's clients need to reach the cluster."""
    settings: dict[str, str | int | bool] = {
        "bootstrap.servers": bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "client.id": "mainstem",
        "reconnect.backoff.max.ms": 1_000,
        # A cluster that is away is reported by whoever asked it something, in a sentence.
        "log_level": 0,
    }
    if kafka.sasl is not None:
        settings |= {
            "sasl.mechanism": kafka.sasl.mechanism,
            "sasl.username": kafka.sasl.username,
            "sasl.password": kafka.sasl.password.get_secret_value(),
        }
    if kafka.ssl is not None:
        locations = {
            "ssl.ca.location": kafka.ssl.ca_location,
            "ssl.certificate.location": kafka.ssl.certificate_location,
            "ssl.key.location": kafka.ssl.key_location,
            "ssl.key.password": kafka.ssl.key_password and kafka.ssl.key_password.get_secret_value(),
        }
        settings |= {name: value for name, value in locations.items() if value}
    return settings


class Cluster:
    """Questions to the cluster and its topics. Every method raises UnavailableError when nobody answers."""

    def __init__(self, client: Client) -> None:
        self._servers = client["bootstrap.servers"]
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
        """Return those of *names* that exist, as the cluster describes them."""
        found = self._metadata().topics
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names if name in found]
        if not resources:
            return {}
        configs = self._admin.describe_configs(resources, request_timeout=ANSWER_SECONDS)
        return {
            resource.name: ExistingTopic(
                name=resource.name,
                partitions=len(found[resource.name].partitions),
                config={entry.name: entry.value for entry in self._told(answer).values()},
            )
            for resource, answer in configs.items()
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
        return sorted(created)

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
        answer = self._admin.describe_consumer_groups([group], request_timeout=ANSWER_SECONDS)[group]
        try:
            members = self._result(answer).members
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return set()
            raise self._unavailable(error.args[0]) from None
        return {member.group_instance_id for member in members if member.group_instance_id}

    def _metadata(self) -> Any:
        try:
            return self._admin.list_topics(timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise self._unavailable(error.args[0]) from None

    def _told(self, answer: Any) -> Any:
        try:
            return self._result(answer)
        except KafkaException as error:
            raise self._unavailable(error.args[0]) from None

    def _result(self, answer: Any) -> Any:
        try:
            return answer.result(timeout=ANSWER_SECONDS * 2)
        except TimeoutError:
            raise UnavailableError(f"Kafka at {self._servers} does not answer") from None

    def _unavailable(self, error: KafkaError) -> UnavailableError:
        cause = self._faults[-1] if self._faults else error
        if cause.code() == KafkaError._AUTHENTICATION:  # noqa: SLF001 - librdkafka's own errors are named so
            return UnavailableError(
                f"Kafka at {self._servers} refuses the credentials ({cause.str()}): check kafka.sasl"
            )
        return UnavailableError(
            f"no Kafka answers at {self._servers} ({cause.str()}): start it, or correct kafka.bootstrap_servers"
        )
