"""Where a secret is kept, as `secret_ref` says it, and the fetching of it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

from mainstem.configuration.values import Text
from schemas.errors import ConfigError

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretRef(BaseModel):
    """The place of a secret: `env:NAME`, `file:PATH`, or a path; paths are relative to the configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secret_ref: Text = Field(repr=False)

    def resolve(self, environ: Mapping[str, str], base_dir: Path) -> SecretStr:
        """Fetch the secret, less white space around it. Raises ConfigError that says what is missing.

        A bare path is not repeated in the message: people paste the secret itself there.
        """
        scheme, colon, rest = self.secret_ref.partition(":")
        if colon and scheme == "env":
            return _from_variable(rest, environ)
        if colon and scheme == "file":
            return _from_file(base_dir / rest, f"the file {rest}")
        return _from_file(base_dir / self.secret_ref, "the file that secret_ref names beside the configuration")


def _from_variable(name: str, environ: Mapping[str, str]) -> SecretStr:
    if not _VARIABLE.fullmatch(name):
        raise ConfigError("secret_ref: env: is followed by the name of a variable, as in env:API_TOKEN")
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigError(f"secret_ref: the variable {name} is not set or empty; set it")
    return SecretStr(value)


def _from_file(path: Path, said: str) -> SecretStr:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise ConfigError(f"secret_ref: {said} cannot be read as text; create it, or use env:NAME") from None
    if not value:
        raise ConfigError(f"secret_ref: {said} is empty; write the secret into it")
    return SecretStr(value)


def secret_refs(settings: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    """Yield each `secret_ref` within *settings* behind the place of its key."""
    for name, value in settings.items():
        if name == "secret_ref" and isinstance(value, str):
            yield f"{place}.{name}", value
        elif isinstance(value, Mapping):
            yield from secret_refs(value, f"{place}.{name}")


def _plain_or_fetched(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str | SecretStr):
        if not (value if isinstance(value, str) else value.get_secret_value()).strip():
            raise ValueError("must not be empty; write a value or remove the key")
        return value
    if not (isinstance(value, Mapping) and set(value) == {"secret_ref"} and isinstance(value["secret_ref"], str)):
        raise ValueError("must be text, or {secret_ref: env:NAME | file:PATH}")
    context = info.context or {}
    try:
        return SecretRef(secret_ref=value["secret_ref"]).resolve(context["environ"], context["base_dir"])
    except ConfigError as error:
        raise ValueError(str(error)) from None


Secret = Annotated[SecretStr, BeforeValidator(_plain_or_fetched)]
"""A key that holds a secret: written plainly, or `{secret_ref: …}`, which loading fetches."""
