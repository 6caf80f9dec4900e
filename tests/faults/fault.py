"""The one class to subclass when another fault should be injected."""

import random
from abc import ABC, abstractmethod
from typing import ClassVar, Self

from tests.faults.stage import Stage


class Fault(ABC):
    """A fault with its parameters: a frozen dataclass, so that its repr is the plan."""

    name: ClassVar[str]
    """As `--only` and `--list` know it."""

    @property
    @abstractmethod
    def target(self) -> str:
        """What is harmed. Two faults with one target never strike at the same time."""

    @classmethod
    @abstractmethod
    def draw(cls, rng: random.Random) -> Self:
        """Draw the parameters. Nothing but *rng* may decide."""

    @abstractmethod
    def strike(self, stage: Stage) -> str:
        """Do harm, for some seconds, and mend it: what is left must be able to work again.

        Return what was seen of its effect. Raise AssertionError when it had none: a fault that did nothing shows
        nothing.
        """
