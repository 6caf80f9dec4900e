"""What a plain YAML scalar means by YAML 1.2's core schema, and how JSON writes it as a key."""

import json
import math
import re
from typing import Final

Scalar = str | int | float | bool | None

_WORDS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_MAY_BE_NUMBER: Final = re.compile(r"[-+.0-9].*", re.DOTALL)
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_OCTAL: Final = re.compile(r"0o[0-7]+")
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DIGITS_OF_INT64: Final = 20
_LARGEST_PLAIN: Final = 1e21


def read_scalar(text: str) -> Scalar:
    """Return the value of a plain scalar. Raises ValueError, with a sentence, for a number that JSON cannot hold."""
    if text in _WORDS:
        return _WORDS[text]
    if not _MAY_BE_NUMBER.match(text):
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text, 10)
    if _OCTAL.fullmatch(text):
        return _integer(text[2:], 8)
    if _HEXADECIMAL.fullmatch(text):
        return _integer(text[2:], 16)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("infinity and NaN are no numbers in JSON")
    return read_float(text) if _FLOAT.fullmatch(text) else text


def read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def read_integer(text: str) -> int | float:
    return _integer(text, 10)


def _integer(digits: str, base: int) -> int | float:
    # int() takes quadratic time, and refuses more than 4,300 digits.
    significant = digits.lstrip("+-").lstrip("0")
    if len(significant) > _DIGITS_OF_INT64 and base == 10:  # noqa: PLR2004
        return read_float(digits)
    if len(significant) > 2 * _DIGITS_OF_INT64:
        raise ValueError("a number is too large")
    number = int(digits, base)
    return number if -(2**63) <= number < 2**64 else float(number)


def key_text(key: Scalar) -> str:
    """Return *key* as JavaScript writes it when it makes an object of a YAML mapping."""
    if isinstance(key, str):
        return key
    if key is None:
        return ""
    if isinstance(key, float) and key.is_integer() and abs(key) < _LARGEST_PLAIN:
        return str(int(key))
    return json.dumps(key)
