"""How far a policy has come: the record that each partition keeps of it, and the walk that brings a new one along."""

from dataclasses import dataclass

import orjson

from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRecord:
    """The value of the changelog's POLICY_KEY."""

    version: int = 0
    fingerprint: str = ""
    """Of the policy that every entity of the partition was merged under; empty while a walk is under way."""
    revision: int = 0

    @classmethod
    def decode(cls, value: bytes | None) -> "PolicyRecord":
        return cls() if value is None else cls(**orjson.loads(value))

    def encode(self) -> bytes:
        return orjson.dumps(self)

    def admit(self, revision: int) -> None:
        """Raise ConfigError when a newer policy was in force already."""
        if revision < self.revision:
            raise ConfigError(
                f"merge.revision: {revision} is lower than {self.revision}, under which a worker has merged already:"
                " this configuration is older than the one in force. Take that one, or set a higher merge.revision"
            )


@dataclass(slots=True)
class Walk:
    """The way of a policy through the keys of one partition, in their order."""

    target: str
    """Fingerprint of the policy that every key is merged under."""
    last: bytes = b""
    """The key that was merged last; empty at the beginning."""
