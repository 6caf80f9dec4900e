"""Whether what a run wants to delete may be deleted, or waits for a person."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """More deletes of one run than both limits are held. *max_percent*: of the entities that the connector holds."""

    max_count: int = 20
    max_percent: float = 10.0


def allows(deletions: int, *, held: int, entities: int, limits: Limits) -> bool:
    """Whether *deletions* of *entities* may go ahead, of which *held* wait for a decision already.

    What waits counts as well: a connector that loses ten per cent in every run would lose everything otherwise.
    """
    return deletions + held <= max(limits.max_count, entities * limits.max_percent / 100)
