"""Schemas by the ids of a schema registry that speaks Confluent's API."""

import json
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import fastavro
import structlog
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from schemas.errors import ConfigError, Retriable, UnavailableError

log = structlog.get_logger(__name__)

T = TypeVar("T")

ANSWER_SECONDS: Final = 5.0
UNKNOWN_SECONDS: Final = 30.0
"""How long an id that the registry does not know is not asked for again."""
UNKNOWN_KEPT: Final = 10_000
"""Ids that the registry does not know; of more, the one that was asked for longest ago is forgotten."""

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_REFUSED: Final = (401, 403)
_REFERENCES: Final = 100


class Registry:
    """Asks the registry once for each id. What it answered is kept as long as the process lives."""

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        credentials = {} if username is None else {"basic.auth.user.info": f"{username}:{password or ''}"}
        try:
            self._client = SchemaRegistryClient(
                {"url": url, "timeout": ANSWER_SECONDS, "max.retries": 0, **credentials}
            )
        except ValueError:
            raise ConfigError(
                "kafka.schema_registry: the url must be http://host:port or https://host:port, and hold no"
                " credentials where username is set"
            ) from None
        parts = urlsplit(url.partition(",")[0])
        self._where = f"{parts.hostname}:{parts.port}" if parts.port else f"{parts.hostname}"
        self._clock = clock
        self._schemas: dict[int, Any] = {}
        self._unknown: dict[int, float] = {}

    def lacks(self, wire_id: int) -> bool:
        """Whether :meth:`schema` would have to ask the registry, now or soon."""
        soon = self._clock() + UNKNOWN_SECONDS / 2
        return wire_id not in self._schemas and self._unknown.get(wire_id, 0.0) <= soon

    def schema(self, wire_id: int) -> Any | None:
        """Return the parsed Avro schema of that id; None when the registry has none, or another kind of schema.

        What was asked before is answered without a network, that there is none too, however long ago that was:
        :meth:`lacks` says when to :meth:`ask` again. Raises Retriable while the registry is away or keeps us out.
        """
        if wire_id not in self._schemas and wire_id not in self._unknown:
            self.ask(wire_id)
        return self._schemas.get(wire_id)

    def ask(self, wire_id: int) -> None:
        """Ask for that id now, whatever is known. Raises as :meth:`schema`."""
        try:
            found = self._client.get_schema(wire_id)
            self._schemas[wire_id] = self._parsed(found) if found.schema_type in ("AVRO", None) else None
        except Exception as error:
            if _status(error) != _NOT_FOUND:
                raise Retriable(self._trouble(error)) from error
            self._unknown.pop(wire_id, None)
            self._unknown[wire_id] = self._clock() + UNKNOWN_SECONDS
            if len(self._unknown) > UNKNOWN_KEPT:
                del self._unknown[next(iter(self._unknown))]
        else:
            self._unknown.pop(wire_id, None)

    def register(self, subject: str, text: str) -> int:
        """Return the id of the Avro schema *text* under *subject*, registered now if it was not before.

        Raises UnavailableError while the registry is away or refuses us, ConfigError when it refuses the schema.
        """
        try:
            return int(self._client.register_schema(subject, Schema(text, "AVRO")))
        except Exception as error:
            if _status(error) == _CONFLICT:
                raise ConfigError(
                    f"the schema registry at {self._where} holds that this version's schema does not fit what"
                    f" subject {subject} has: set its compatibility to BACKWARD, or remove what others registered there"
                ) from error
            raise UnavailableError(f"{self._trouble(error)}: start it, or correct kafka.schema_registry") from error

    def answers(self) -> bool:
        """Whether the registry is there."""
        try:
            self._client.get_subjects()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
            return _status(error) is not None
        return True

    def close(self) -> None:
        self._client.close()

    def _parsed(self, found: Schema) -> Any:
        try:
            return fastavro.parse_schema(json.loads(found.schema_str or ""), named_schemas=self._referenced(found))
        except (ValueError, KeyError, fastavro.schema.SchemaParseException, RecursionError) as error:
            log.warning("registry.schema_unusable", reason=type(error).__name__)
            return None

    def _referenced(self, found: Schema) -> dict[str, Any]:
        """Return the named schemas that *found* builds on, and those that they build on."""
        named: dict[str, Any] = {}
        left = [found]
        parts: list[Schema] = []
        while left and len(parts) < _REFERENCES:
            for reference in left.pop().references or ():
                part = self._client.get_version(reference.subject, reference.version).schema
                left.append(part)
                parts.append(part)
        for part in reversed(parts):
            parsed = json.loads(part.schema_str or "")
            if parsed.get("name") not in named:
                fastavro.parse_schema(parsed, named_schemas=named)
        return named

    def _trouble(self, error: Exception) -> str:
        status = _status(error)
        if status in _REFUSED:
            return f"the schema registry at {self._where} refuses the credentials"
        if status is not None:
            return f"the schema registry at {self._where} answers with status {status}"
        return f"no schema registry answers at {self._where} ({type(error).__name__})"


def _status(error: Exception) -> int | None:
    return int(error.http_status_code) if isinstance(error, SchemaRegistryError) else None
