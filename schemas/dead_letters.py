"""The headers that a dead letter carries beside its original ones. Key and value stay as they came."""

from schemas.errors import MainstemError


def dead_letter_headers(
    error: MainstemError, *, stage: str, origin: str, timestamp: int, attempts: int
) -> list[tuple[str, bytes]]:
    """Return where the record came from (*origin*: `topic/partition/offset`) and why it could not be used.

    *timestamp*: epoch ms of the original record. *attempts* counts from 1.
    """
    topic, partition, offset = origin.rsplit("/", 2)
    texts = {
        "mainstem-origin-topic": topic,
        "mainstem-origin-partition": partition,
        "mainstem-origin-offset": offset,
        "mainstem-origin-timestamp": str(timestamp),
        "mainstem-stage": stage,
        "mainstem-error": type(error).__name__,
        "mainstem-reason": str(error),
        "mainstem-attempts": str(attempts),
    }
    return [(name, text.encode()) for name, text in texts.items()]
