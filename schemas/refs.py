"""Names of entities: `kind:namespace/name`, all lower-cased, and the Kafka key made of it.

Grammar and patterns are Backstage's. Two spellings that differ in case name the same entity.
"""

import re
from dataclasses import dataclass

DEFAULT_NAMESPACE = "default"
DEFAULT_TENANT = "default"

KIND = re.compile(r"[a-zA-Z][a-z0-9A-Z]{0,62}")
NAMESPACE = re.compile(r"(?=.{1,63}\Z)[a-z0-9]+(?:-+[a-z0-9]+)*")
NAME = re.compile(r"(?=.{1,63}\Z)(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

_REF = re.compile(r"(?:(?P<kind>[^:/]+):)?(?:(?P<namespace>[^:/]+)/)?(?P<name>[^:/]+)")


@dataclass(frozen=True, slots=True, order=True)
class EntityRef:
    """The identity of an entity. All three parts are lower-cased and follow Backstage's patterns."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str, *, kind: str | None = None, namespace: str = DEFAULT_NAMESPACE) -> "EntityRef":
        """Read `[kind:][namespace/]name` in any case; *kind* and *namespace* stand in for what is missing.

        Raises ValueError, with a sentence that does not repeat the text, when it is no reference.
        """
        match = _REF.fullmatch(text)
        if match is None:
            raise ValueError("a reference is written kind:namespace/name")
        found_kind = match["kind"] or kind
        if found_kind is None:
            raise ValueError("the reference has no kind: it is written kind:namespace/name")
        if not text.isascii():  # some letters are ASCII only once they are lower-cased
            raise ValueError("a reference has no other letters than A to Z, a to z and digits")
        ref = cls(found_kind.lower(), (match["namespace"] or namespace).lower(), match["name"].lower())
        if not KIND.fullmatch(ref.kind):
            raise ValueError("the kind of the reference must be 1 to 63 letters and digits and begin with a letter")
        if not NAMESPACE.fullmatch(ref.namespace):
            raise ValueError("the namespace of the reference must be 1 to 63 letters and digits separated by '-'")
        if not NAME.fullmatch(ref.name):
            raise ValueError(
                "the name of the reference must be 1 to 63 letters and digits separated by '-', '_' or '.'"
            )
        return ref


def entity_key(tenant: str, ref: EntityRef | str) -> bytes:
    """Return the Kafka key of an entity: its reference, behind `<tenant>|` for any tenant but the default."""
    return str(ref).encode() if tenant == DEFAULT_TENANT else f"{tenant}|{ref}".encode()


def parse_entity_key(key: bytes) -> tuple[str, str]:
    """Return (tenant, entityRef) of a key that :func:`entity_key` made."""
    tenant, bar, ref = key.decode().rpartition("|")
    return (tenant if bar else DEFAULT_TENANT), ref
