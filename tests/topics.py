"""What tests set of a topic and ask about it: Kafka has an answer a moment after it said that it is done."""

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from tests.patience import eventually


def configure(admin: AdminClient, topic: str, name: str, value: object) -> None:
    """Set *name* of *topic*, and wait until the broker, which hears of it behind the controller, goes by it."""
    change = ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
    wanted = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])
    admin.incremental_alter_configs([wanted])[wanted].result(20)
    asked = ConfigResource(ConfigResource.Type.TOPIC, topic)
    eventually(lambda: admin.describe_configs([asked])[asked].result(20)[name].value == str(value), 60)


def bounds(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Return the first offset of *place* and the one behind its last; a leader that is chosen just now is awaited."""
    refusals = ["nothing was asked"]

    def asked() -> tuple[int, int] | None:
        try:
            return consumer.get_watermark_offsets(place, timeout=20)
        except KafkaException as error:
            refusals.append(error.args[0].str())
        return None

    return eventually(asked, 60, lambda: f"{place}: {refusals[-1]}")
