"""One YAML document into JSON values, by YAML 1.2's core schema, as Backstage's own parser reads it.

Built on the event stream of PyYAML (libyaml): events keep apart what loaders mix up, such as `012` and
`"012"`, know their lines, and come one by one, so that a hostile document is refused before it costs
memory or stack.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, Never

import yaml  # type: ignore[import-untyped]

from sources.core_schema import Scalar, key_text, read_scalar

MAX_DEPTH: Final = 1_024
MAX_ALIASED: Final = 1_000_000
"""What aliases may add, in characters and nodes: a change has at most 1,000,000 bytes."""

_CORE: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML 1.1, which libyaml reads, ends a line at these characters; YAML 1.2 does not.
_NO_BREAKS: Final = {"\x85": "\uf8f0", "\u2028": "\uf8f1", "\u2029": "\uf8f2"}
_UNREADABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff\uf8f0-\uf8f2]")
_SOMETHING: Final = "something that YAML does not allow"


class YamlError(ValueError):
    """A document that cannot be read: `reason` without its text, `line` counted from 0 or None."""

    def __init__(self, reason: str, line: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(slots=True)
class _Node:
    """A value, and how large it is when every alias in it is written out."""

    value: Any
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class _Collection:
    """A list or an object that is not closed yet."""

    node: _Node
    anchor: str | None
    keys: set[tuple[bool, Scalar]] = field(default_factory=set)
    key: str | None = None


def read_yaml(text: str) -> Any:
    """Return the one document of *text*. Raises YamlError, and nothing else."""
    found = _UNREADABLE.search(text)
    if found is not None:
        raise YamlError("a character that YAML does not allow", text.count("\n", 0, found.start()))
    for character, stand_in in _NO_BREAKS.items():
        text = text.replace(character, stand_in)
    try:
        return _Composer().compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(error.problem or error.context or _SOMETHING, mark.line if mark else None) from None
    except yaml.YAMLError:
        raise YamlError(_SOMETHING, None) from None


class _Composer:
    def __init__(self) -> None:
        self._root: _Node | None = None
        self._open: list[_Collection] = []
        self._anchors: dict[str, _Node | None] = {}
        self._aliased = 0
        self._line = 0

    def compose(self, text: str) -> Any:
        for event in yaml.parse(text, Loader=_LOADER):
            self._line = event.start_mark.line
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent):
                self._start(event, {})
            elif isinstance(event, yaml.SequenceStartEvent):
                self._start(event, [])
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event.anchor)
            elif isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
                self._fail("more than one document")
        return None if self._root is None else self._root.value

    def _scalar(self, event: Any) -> None:
        node = _Node(self._scalar_value(event), size=1 + len(event.value))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._add(node)

    def _scalar_value(self, event: Any) -> Scalar:
        text: str = event.value
        for character, stand_in in _NO_BREAKS.items():
            if stand_in in text:
                text = text.replace(stand_in, character)
        if (event.implicit[0] and event.tag != "!") or event.tag in _CORE:
            try:
                return read_scalar(text)
            except ValueError as error:
                self._fail(str(error))
        if "\0" in text:
            self._fail("the character U+0000")
        return text

    def _start(self, event: Any, value: Any) -> None:
        if len(self._open) == MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH:,}")
        self._refuse_as_key()
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Collection(_Node(value), event.anchor))

    def _end(self) -> None:
        collection = self._open.pop()
        if collection.anchor is not None:
            self._anchors[collection.anchor] = collection.node
        self._add(collection.node)

    def _alias(self, anchor: str) -> None:
        if anchor not in self._anchors:
            self._fail("an alias without its anchor")
        node = self._anchors[anchor]
        if node is None:
            self._fail("an alias within what it stands for")
        self._aliased += node.size
        if self._aliased > MAX_ALIASED:
            self._fail(f"aliases that add more than {MAX_ALIASED:,} characters")
        if len(self._open) + node.height > MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH:,}")
        if isinstance(node.value, dict | list):
            self._refuse_as_key()
        self._add(node)

    def _add(self, node: _Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.node.size += node.size
        parent.node.height = max(parent.node.height, node.height + 1)
        if isinstance(parent.node.value, list):
            parent.node.value.append(node.value)
        elif parent.key is None:
            parent.key = self._new_key(parent, node.value)
        else:
            parent.node.value[parent.key] = node.value
            parent.key = None

    def _new_key(self, parent: _Collection, key: Scalar) -> str:
        # True equals 1 in Python: the pair keeps them apart.
        identity = (isinstance(key, bool), key)
        if identity in parent.keys:
            self._fail("a key that is given twice")
        parent.keys.add(identity)
        return key_text(key)

    def _refuse_as_key(self) -> None:
        if self._open and isinstance(self._open[-1].node.value, dict) and self._open[-1].key is None:
            self._fail("a list or an object as a key")

    def _fail(self, reason: str) -> Never:
        raise YamlError(reason, self._line)
