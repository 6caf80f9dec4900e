"""What Backstage asks of `metadata` and of each kind's `spec`, as tables.

Fields that no table names pass. The kinds are those of a stock catalogue and the scaffolder's Template.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from schemas.descriptor_rules import NONE, Faults, Rule, fault, fields, is_include, list_of, map_of, one_or_many, text
from schemas.refs import NAME
from schemas.urls import is_url

DNS_LABEL: Final = r"(?![a-z0-9-]{64})[a-z0-9]+(?:-+[a-z0-9]+)*"
_KEY: Final = re.compile(
    rf"(?:(?=[^/]{{1,253}}/)(?:{DNS_LABEL}\.)*{DNS_LABEL}/)?"
    r"(?=[^/]{1,63}\Z)(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
)
_TAG: Final = re.compile(r"(?=.{1,63}\Z)[a-z0-9:+#]+(?:-[a-z0-9:+#]+)*")

_KEY_LENGTH: Final = 253 + 1 + 63


@lru_cache(maxsize=4096)
def _is_short_key(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


def _is_key(key: str) -> bool:
    # Only short keys may reach the cache: it would hold on to megabytes otherwise.
    return len(key) <= _KEY_LENGTH and _is_short_key(key)


_TEXT: Final = text()
_ANY_TEXT: Final = text(accepts=lambda _: True)
_NOT_BLANK: Final = text("must not be blank", accepts=str.strip)
_TEXTS: Final = list_of(_TEXT)
_OBJECT: Final = fields({})


def _definition(value: Any, complete: bool) -> Faults:  # noqa: FBT001
    if complete and is_include(value):
        return fault("must be a text in the end: $text, $openapi and $asyncapi bring one, $json and $yaml do not")
    return _TEXT(value, complete)


def _condition(value: Any, complete: bool) -> Faults:  # noqa: FBT001
    return NONE if isinstance(value, bool) else _ANY_TEXT(value, complete)


METADATA: Final = fields(
    {
        "title": _TEXT,
        "description": _ANY_TEXT,
        "labels": map_of(
            _is_key,
            text(
                "must be empty, or 1 to 63 letters and digits separated by '-', '_' or '.'",
                accepts=lambda value: not value or NAME.fullmatch(value),
            ),
        ),
        "annotations": map_of(_is_key, _ANY_TEXT),
        "tags": list_of(
            text("must be 1 to 63 of a-z, 0-9, ':', '+' and '#', separated by '-'", accepts=_TAG.fullmatch),
            includes=False,
        ),
        "links": list_of(
            fields(
                {"url": text("must be a URL", accepts=is_url), "title": _NOT_BLANK, "icon": _NOT_BLANK, "type": _TEXT},
                required=("url",),
                includes=False,
            ),
            includes=False,
        ),
    },
    includes=False,
)
"""Everything in `metadata` but the identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One of the kinds that Backstage knows."""

    spec: Rule
    api_versions: tuple[str, ...] = ("backstage.io/v1alpha1", "backstage.io/v1beta1")


def _kind(required: str = "", texts: str = "", lists: str = "", **others: Rule) -> Kind:
    rules = dict.fromkeys(texts.split(), _TEXT) | dict.fromkeys(lists.split(), _TEXTS) | others
    return Kind(spec=fields(rules, required=tuple(required.split())))


_PROFILE: Final = fields({"displayName": _TEXT, "email": _TEXT, "picture": _TEXT})
_PERMISSIONS: Final = fields({"tags": list_of(_ANY_TEXT)})
_FORM_DECORATORS: Final = list_of(fields({"id": _ANY_TEXT, "input": _OBJECT}))

_TEMPLATE_STEP: Final = fields(
    {
        "id": _ANY_TEXT,
        "name": _ANY_TEXT,
        "action": _ANY_TEXT,
        "input": _OBJECT,
        "if": _condition,
        "backstage:permissions": _PERMISSIONS,
    },
    required=("action",),
)
_TEMPLATE_OUTPUT: Final = fields(
    {
        "links": list_of(
            fields({"if": _condition, "url": _TEXT, "entityRef": _TEXT, "title": _TEXT, "icon": _TEXT}),
        ),
        "text": list_of(fields({"if": _condition, "title": _TEXT, "icon": _TEXT, "content": _ANY_TEXT})),
    },
    others=_ANY_TEXT,
)
_TEMPLATE_BUTTONS: Final = fields(
    {"backButtonText": _ANY_TEXT, "createButtonText": _ANY_TEXT, "reviewButtonText": _ANY_TEXT}
)
_TEMPLATE: Final = fields(
    {
        "type": _TEXT,
        "owner": _TEXT,
        "lifecycle": _TEXT,
        "parameters": one_or_many(fields({"backstage:permissions": _PERMISSIONS})),
        "secrets": fields({"schema": _OBJECT}),
        "presentation": fields({"buttonLabels": _TEMPLATE_BUTTONS}),
        "EXPERIMENTAL_recovery": fields({"EXPERIMENTAL_strategy": _ANY_TEXT}),
        "formDecorators": _FORM_DECORATORS,
        "EXPERIMENTAL_formDecorators": _FORM_DECORATORS,
        "steps": list_of(_TEMPLATE_STEP),
        "output": _TEMPLATE_OUTPUT,
    },
    required=("type", "steps"),
)

_PRESENCE: Final = text("must be required or optional", accepts=("required", "optional").__contains__)

KINDS: Final = {
    "Component": _kind(
        "type lifecycle owner",
        "type lifecycle owner system subcomponentOf",
        "providesApis consumesApis dependsOn",
    ),
    "API": _kind("type lifecycle owner definition", "type lifecycle owner system", definition=_definition),
    "Resource": _kind("type owner", "type owner system", "dependsOn"),
    "System": _kind("owner", "owner domain type"),
    "Domain": _kind("owner", "owner subdomainOf type"),
    "Group": _kind("type children", "type parent", "children members", profile=_PROFILE),
    "User": _kind("memberOf", "", "memberOf", profile=_PROFILE),
    "Location": _kind("", "type target", "targets", presence=_PRESENCE),
    "Template": Kind(spec=_TEMPLATE, api_versions=("scaffolder.backstage.io/v1beta3",)),
}
