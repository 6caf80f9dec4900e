"""Backstage's rules for an entity descriptor: what is kept of one, and what is wrong with it.

Two measures: an entity that must be whole keeps every rule of a stock Backstage catalogue; a connector's
part of one need not have what Backstage requires, since another connector may bring it.
"""

import re
from typing import Any, Final

from schemas.canonical import pointer
from schemas.descriptor_kinds import DNS_LABEL, KINDS, METADATA
from schemas.descriptor_rules import NONE, NUMBERS, Faults, below, fault, fields
from schemas.refs import DEFAULT_NAMESPACE, KIND, NAME, NAMESPACE

_ORPHAN: Final = "backstage.io/orphan"
_ROOT: Final = frozenset({"apiVersion", "kind", "metadata", "spec"})
_API_VERSION: Final = (
    re.compile(rf"(?:(?=[^/]{{1,253}}/)(?:{DNS_LABEL}\.)*{DNS_LABEL}/)?[A-Za-z0-9]{{1,63}}"),
    "must be 1 to 63 letters and digits, or a DNS name, a '/' and such",
)
_KIND: Final = (KIND, "must be 1 to 63 letters and digits and begin with a letter")
_NAME: Final = (NAME, "must be 1 to 63 letters and digits separated by '-', '_' or '.'")
_NAMESPACE: Final = (NAMESPACE, "must be 1 to 63 lower-case letters and digits separated by '-'")
_FOREIGN: Final = fault("is no field of an entity: apiVersion, kind, metadata and spec are")
_KNOWN_CASE: Final = {kind.lower(): kind for kind in KINDS}
_ANY_SPEC: Final = fields({})


def received(entity: dict[str, Any]) -> dict[str, Any]:
    """Return the entity as it is kept, a new object wherever it differs.

    Without what only Backstage itself says of an entity (`metadata.uid`, `etag`, `generation`, `relations`,
    `status`, the orphan annotation), and in its namespace. Takes anything: what has a wrong type stays for
    :func:`faults` to report.
    """
    metadata = entity.get("metadata")
    kept = {name: value for name, value in entity.items() if name not in ("relations", "status")}
    if not isinstance(metadata, dict):
        return kept
    metadata = {name: value for name, value in metadata.items() if name not in ("uid", "etag", "generation")}
    metadata.setdefault("namespace", DEFAULT_NAMESPACE)
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict) and _ORPHAN in annotations:
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != _ORPHAN}
    kept["metadata"] = metadata
    return kept


def faults(entity: Any, *, complete: bool) -> list[tuple[str, str]]:
    """Return every rule that *entity*, after :func:`received`, breaks: (JSON pointer in the change, sentence).

    Takes any JSON value and never raises. No sentence holds text of the entity; a pointer holds its keys.
    """
    if not isinstance(entity, dict):
        return [("/entity", "must be an object")]
    found: list[tuple[str, str]] = []
    for name in entity:
        if name not in _ROOT:
            found += below(name, _FOREIGN)
    found += _kind_faults(entity, complete=complete)
    if within := _metadata_faults(entity.get("metadata"), complete=complete):
        found += below("metadata", within)
    if within := _spec_faults(entity, complete=complete):
        found += below("spec", within)
    return list(below("entity", tuple(found)))


def _kind_faults(entity: dict[str, Any], *, complete: bool) -> Faults:
    found = _identity_faults(entity, "apiVersion", _API_VERSION) + _identity_faults(entity, "kind", _KIND)
    if found:
        return found
    name = entity["kind"]
    kind = KINDS.get(name)
    if kind is None:
        known = _KNOWN_CASE.get(name.lower())
        if known is not None:
            return (("/kind", f"must be written in Backstage's own case: {known}"),)
        return (("/kind", f"must be one of Backstage's kinds: {', '.join(sorted(KINDS))}"),) if complete else NONE
    if complete and entity["apiVersion"] not in kind.api_versions:
        return (("/apiVersion", f"must be {' or '.join(kind.api_versions)} for this kind"),)
    return NONE


def _metadata_faults(metadata: Any, *, complete: bool) -> Faults:
    if metadata is None:
        return (("/name", "is required"),)
    if not isinstance(metadata, dict):
        return fault("must be an object")
    found = _identity_faults(metadata, "name", _NAME)
    if "namespace" in metadata:
        found += _identity_faults(metadata, "namespace", _NAMESPACE)
    return found + METADATA(metadata, complete)


def _spec_faults(entity: dict[str, Any], *, complete: bool) -> Faults:
    name, spec = entity.get("kind"), entity.get("spec")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if complete and kind is not None and "spec" not in entity:
        return fault("is required")
    if spec or isinstance(spec, NUMBERS) or (complete and "spec" in entity):
        return (_ANY_SPEC if kind is None else kind.spec)(spec, complete)
    return NONE


def _identity_faults(holder: dict[str, Any], name: str, rule: tuple[re.Pattern[str], str]) -> Faults:
    pattern, sentence = rule
    value = holder.get(name)
    if isinstance(value, str) and pattern.fullmatch(value):
        return NONE
    return ((pointer(name), "is required" if value is None or value == "" else sentence),)
