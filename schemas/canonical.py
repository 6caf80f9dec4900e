"""One text for one value: the JSON that is hashed, compared and sent, and the reading of it."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import orjson

from schemas.errors import DecodeError

_SHORT: Final = 128
_POINTERS_KEPT: Final = 4_096


def canonical_json(value: Any) -> bytes:
    """Return *value* as UTF-8 JSON: keys by code point, no spaces, no escapes beyond what JSON demands."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # orjson writes 254 levels and reads 1,024
        return b"".join(_pieces(value))


def content_hash(content: bytes) -> str:
    """Return the blake2b-128 of *content*, the canonical JSON of `{"entity", "service"}`, as lower-case hex."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON text that everything downstream can hold.

    Raises DecodeError for what is not UTF-8 or not JSON, for NaN and Infinity, numbers beyond an IEEE double,
    lone surrogates, U+0000, and nesting deeper than 1,024. Of duplicate keys the last counts; integers
    outside 64 bits are read as doubles.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"not JSON that can be kept: {error}") from None
    if b"\\u0000" in text and any("\0" in found for found in _texts(value)):
        raise DecodeError("the text holds the character U+0000, which no database can keep")
    return value


def pointer(*tokens: str) -> str:
    """Return the JSON pointer (RFC 6901) that leads through *tokens*."""
    # What is kept for the next call is bounded in number and in length: keys of a payload may be of any length.
    return _joined(tokens) if tokens and len(tokens[-1]) > _SHORT else _short_pointer(*tokens)


@lru_cache(maxsize=16_384)
def _short_pointer(*tokens: str) -> str:
    return _joined(tokens)


def _joined(tokens: tuple[str, ...]) -> str:
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


class PointersBelow(dict[str, str]):
    """The JSON pointers one token below *tokens*, by that token. What is kept of them is bounded as well."""

    def __init__(self, *tokens: str) -> None:
        super().__init__()
        self._above = pointer(*tokens)

    def __missing__(self, token: str) -> str:
        at = self._above + _joined((token,))
        if len(token) <= _SHORT:
            if len(self) >= _POINTERS_KEPT:
                self.clear()
            self[token] = at
        return at


def _pieces(value: Any) -> Iterator[bytes]:
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is bytes:
            yield item
        elif type(item) is dict and item:
            waiting.append(b"}")
            for place, key in enumerate(sorted(item, reverse=True), start=1):
                mark = b"{" if place == len(item) else b","
                waiting += (item[key], mark + orjson.dumps(key) + b":")
        elif type(item) is list and item:
            waiting.append(b"]")
            for place, element in enumerate(reversed(item), start=1):
                waiting += (element, b"[" if place == len(item) else b",")
        else:
            yield orjson.dumps(item)


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is str:
            yield item
        elif type(item) is dict:
            waiting += item
            waiting += item.values()
        elif type(item) is list:
            waiting += item
