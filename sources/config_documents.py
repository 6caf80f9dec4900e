"""`connection.documents` of type `git`: any YAML or JSON becomes entities, by rules.

```yaml
documents:
  - files: "teams/**/*.yaml"        # or a list of patterns; `**` stands for any number of directories
    each: services                  # a list or an object within each document; absent: the document itself
    entity:
      kind: Component               # apiVersion and kind are taken as they stand here
      metadata.name: name           # all else is JMESPath: a text of its own is quoted, as 'production'
      metadata.annotations['acme.com/file']: _file.path
      spec.owner: _document.team
    service: {tier: tier, slackChannel: chat.channel}
```

An expression sees the element, and beside its keys `_document` (the whole document), `_file` (`path`, `name`,
`directory`), `_key` (of an object that `each` found) and `_value` (the element itself). What finds null is left out.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import ConfigError, ValidationError
from sources.base import Item, Refused, SourceSettings
from sources.catalog_files import content
from sources.documents import Value, read_values
from sources.effect import found_nothing
from sources.expressions import Expression, compiled
from sources.file_names import as_regex
from sources.file_reading import Descriptors, Found, Pass, Reading
from sources.files import Files, Unread, is_skipped, shown

_KEYS: Final = frozenset({"files", "each", "entity", "service"})
_STEP: Final = re.compile(r"(?:^|\.)(?P<plain>[A-Za-z_][\w-]*)|(?:^|\.)\"(?P<quoted>[^\"]+)\"|\['(?P<key>[^']+)'\]")
_LITERAL: Final = {"apiVersion", "kind"}
_API_VERSION: Final = "backstage.io/v1alpha1"

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry of `documents`."""

    place: str
    files: re.Pattern[str]
    patterns: Mapping[str, re.Pattern[str]]
    """What *files* is made of, by where it was written."""
    each: Expression | None
    literals: Mapping[str, str]
    fields: Mapping[Path, Expression]
    """What goes where, beginning with `entity` or `service`."""


def reading_of(settings: SourceSettings) -> Reading:
    """Return the rules of `connection.documents`, or where there are none the reading of descriptors.

    Raises ConfigError that names the rule and the key.
    """
    stated = settings.connection.get("documents")
    if stated is None:
        return Descriptors()
    whose = f"connector {settings.connector}: connection.documents"
    if not isinstance(stated, list) or not stated:
        raise ConfigError(f"{whose} must be a list of rules, each with files and entity")
    return Rules(tuple(_rule(f"{whose}[{number}]", each) for number, each in enumerate(stated)))


@dataclass(frozen=True, slots=True)
class Rules(Reading):
    """A file is read where a rule names it, and becomes what all rules that name it make of it."""

    rules: tuple[Rule, ...]

    def over(self, files: Files) -> Pass:
        return _RulePass(self, files)

    def reads(self, name: str) -> bool:
        return not is_skipped(name) and any(rule.files.fullmatch(name) for rule in self.rules)


class _RulePass(Pass):
    def __init__(self, rules: Rules, files: Files) -> None:
        self._rules = rules
        self._files = files
        self._seen: set[str] = set()
        self._is_plain = True
        self._listed, self._is_whole = 0, True
        self._first = ""
        self._silent = {each.name for rule in rules.rules for each in rule.fields.values()}
        self._made = dict.fromkeys((rule.place for rule in rules.rules), 0)
        self._refused = dict(self._made)
        self._unmatched = {place: pattern for rule in rules.rules for place, pattern in rule.patterns.items()}

    @property
    def is_plain(self) -> bool:
        return self._is_plain

    def whole(self) -> Iterator[Found]:
        for each in self._files.listing():
            if isinstance(each, Unread):
                self._is_whole = False
                yield each
                continue
            self._listed += 1
            self._first = self._first or each
            if self._rules.reads(each):
                for place in [place for place, pattern in self._unmatched.items() if pattern.fullmatch(each)]:
                    del self._unmatched[place]
                yield from self._read(each)

    def doubts(self) -> Iterator[str]:
        if not self._is_whole:
            return
        for place in self._unmatched:
            example = f", such as {shown(self._first)}" if self._first else ""
            yield f"{place} matches none of {self._listed:,} files; it is compared with a file's whole path{example}"
        for rule in self._rules.rules:
            if made := self._made[rule.place]:
                silent = (each.name for each in rule.fields.values() if each.name in self._silent)
                yield from (found_nothing(name, made, self._refused[rule.place]) for name in silent)

    def some(self, names: Iterable[str]) -> Iterator[Found]:
        for name in names:
            yield from self._read(name)

    def _read(self, name: str) -> Iterator[Found]:
        self._is_plain = self._is_plain and not self._files.is_link(name)
        data = content(self._files, name, self._seen)
        if isinstance(data, bytes):
            for value in read_values(name, data):
                for rule in self._rules.rules:
                    if rule.files.fullmatch(name):
                        yield from self._counted(rule, mapped(rule, shown(name), value, self._silent))
        elif data is not None:
            for rule in self._rules.rules:
                self._refused[rule.place] += rule.files.fullmatch(name) is not None
            yield Refused(place=f"{data.file}:{data.line}", reason=data.error or "not readable", scope=data.file)

    def _counted(self, rule: Rule, found: Iterator[Item | Refused]) -> Iterator[Item | Refused]:
        for each in found:
            self._made[rule.place] += isinstance(each, Item)
            self._refused[rule.place] += isinstance(each, Refused)
            yield each


def mapped(rule: Rule, name: str, document: Value, silent: set[str]) -> Iterator[Item | Refused]:
    """Yield what *rule* makes of one document, an item or the reason why there is none for each element.

    From *silent* the names of those expressions are taken that found something.
    """
    place = f"{name}:{document.line}"
    if document.error is not None:
        yield Refused(place=place, reason=document.error, scope=name)
        return
    stem, _ = posixpath.splitext(posixpath.basename(name))
    beside = {
        "_document": document.value,
        "_file": {"path": name, "name": stem, "directory": posixpath.basename(posixpath.dirname(name))},
    }
    try:
        elements = list(_elements(rule, document.value, beside))
    except ValidationError as error:
        yield Refused(place=place, reason=str(error), scope=name)
        return
    for number, element in enumerate(elements):
        at = place if rule.each is None else f"{place}[{number}]"
        try:
            yield Item(place=at, change=_change(rule, element, silent), scope=name)
        except ValidationError as error:
            yield Refused(place=at, reason=str(error), scope=name)


def _elements(rule: Rule, value: Any, beside: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if rule.each is None:
        yield _seen_as(value, beside)
        return
    found = rule.each.find(_seen_as(value, beside))
    if isinstance(found, list):
        yield from (_seen_as(each, beside) for each in found)
    elif isinstance(found, dict):
        yield from ({**_seen_as(each, beside), "_key": key} for key, each in found.items())
    else:
        raise ValidationError(("/entity", f"{rule.place}.each finds no list and no object here"))


def _seen_as(element: Any, beside: Mapping[str, Any]) -> dict[str, Any]:
    own = element if isinstance(element, dict) else {}
    return {**own, **beside, "_value": element}


def _change(rule: Rule, element: dict[str, Any], silent: set[str]) -> dict[str, Any]:
    change: dict[str, Any] = {"entity": dict(rule.literals)}
    for path, expression in rule.fields.items():
        value = expression.find(element)
        if value is None:
            continue
        silent.discard(expression.name)
        place = change
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    if change["entity"].get("metadata", {}).get("name") is None:
        raise ValidationError(("/entity/metadata/name", f"{rule.place}.entity.metadata.name finds nothing here"))
    return change


def _rule(place: str, stated: Any) -> Rule:
    if not isinstance(stated, Mapping):
        raise ConfigError(f"{place} must be an object with files and entity")
    if unknown := sorted(stated.keys() - _KEYS):
        raise ConfigError(f"{place}.{unknown[0]}: unknown key; known are {', '.join(sorted(_KEYS))}")
    fields = dict[Path, Any]()
    for section in ("entity", "service"):
        fields |= _flat(f"{place}.{section}", (section,), stated.get(section, {}))
    literals = {"apiVersion": _API_VERSION}
    for key in _LITERAL & {path[-1] for path in fields if len(path) == 2 and path[0] == "entity"}:  # noqa: PLR2004 - `entity` and the key
        literals[key] = fields.pop(("entity", key))
    if "kind" not in literals or ("entity", "metadata", "name") not in fields:
        raise ConfigError(f"{place}.entity must say kind and metadata.name")
    each, patterns = stated.get("each"), _patterns(f"{place}.files", stated.get("files"))
    if each is not None and not isinstance(each, str):
        raise ConfigError(f"{place}.each must be an expression")
    return Rule(
        place=place,
        files=re.compile("|".join(pattern.pattern for pattern in patterns.values())),
        patterns=patterns,
        each=None if each is None else compiled(each, place=f"{place}.each"),
        literals=literals,
        fields={path: compiled(text, place=f"{place}.{'.'.join(path)}") for path, text in fields.items()},
    )


def _patterns(place: str, stated: Any) -> dict[str, re.Pattern[str]]:
    several = [stated] if isinstance(stated, str) else stated
    if not isinstance(several, list) or not several or not all(isinstance(each, str) and each for each in several):
        raise ConfigError(f"{place} must be a pattern such as services/**/*.yaml, or a list of them")
    places = [place] if isinstance(stated, str) else [f"{place}[{number}]" for number in range(len(several))]
    return {at: re.compile(as_regex(each.removeprefix("./"))) for at, each in zip(places, several, strict=True)}


def _flat(place: str, above: Path, stated: Any) -> dict[Path, str]:
    """Return every field of a section with its expression: keys may be paths, or nest."""
    if not isinstance(stated, Mapping):
        raise ConfigError(f"{place} must be an object of fields and expressions")
    found = dict[Path, str]()
    for key, value in stated.items():
        path = (*above, *_steps(place, key))
        if not isinstance(value, Mapping | str):
            raise ConfigError(f'{place}.{key} must be an expression; write the text x as "\'x\'", and 1 as "`1`"')
        below = _flat(f"{place}.{key}", path, value) if isinstance(value, Mapping) else {path: value}
        for each in below:
            if any(each[: len(other)] == other or other[: len(each)] == each for other in found):
                raise ConfigError(f"{place}.{key} is said twice, or lies within what another key says")
        found |= below
    return found


def _steps(place: str, key: Any) -> Path:
    steps, upto = list[str](), 0
    for step in _STEP.finditer(key if isinstance(key, str) else ""):
        if step.start() != upto:
            break
        upto = step.end()
        steps.append(next(group for group in step.groups() if group is not None))
    if not steps or upto != len(key):
        raise ConfigError(f"{place}: the key {key} is no path such as metadata.name or metadata.annotations['a.b/c']")
    return tuple(steps)
