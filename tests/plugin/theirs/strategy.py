"""Of several descriptions, the shortest."""

from collections.abc import Sequence

from streams.base import Claim, Outcome, Strategy, visible


class Shortest(Strategy):
    """The shortest text; of two as short, the stronger record's. A stale text counts where no fresh one is."""

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        texts = [claim for claim in visible(claims) if isinstance(claim.value, str)]
        texts = [claim for claim in texts if claim.is_stale == texts[0].is_stale]
        if not texts:
            return None
        shortest = min(texts, key=lambda claim: len(claim.value))
        return Outcome(shortest.value, shortest.connector)
