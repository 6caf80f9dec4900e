"""JMESPath as connectors write it, compiled once: a path into an entity, and what it finds there.

Beside JMESPath proper, `a['k']` and `a["k"]` stand for `a."k"`, as people write keys such as `acme.com/tier`.
"""

import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

from jmespath import compile as parse
from jmespath.exceptions import (
    EmptyExpressionError,
    IncompleteExpressionError,
    JMESPathError,
    JMESPathTypeError,
    LexerError,
    ParseError,
)
from jmespath.functions import Functions
from jmespath.lexer import Lexer
from jmespath.visitor import TreeInterpreter

from schemas.errors import ConfigError, ValidationError

_OPERAND_ENDS: Final = frozenset(
    ["unquoted_identifier", "quoted_identifier", "rbracket", "rparen", "rbrace", "current", "star", "flatten"]
)
"""Tokens after which a bracket belongs to what stands before it; after any other it begins a list of its own."""
_BREAKS: Final = (JMESPathError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)
"""What evaluating a sound expression may raise over a value that it was not written for."""
_STEPS: Final = frozenset(["subexpression", "index_expression", "flatten", "filter_projection", "value_projection"])
_COMPARATORS: Final = frozenset(["eq", "ne", "lt", "lte", "gt", "gte"])
_PLAIN: Final = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_WRONG_QUOTES: Final = "the name of a field, which needs no double quotes; a text stands in single ones, as in 'true'"
_STRAY: Final = "& stands before an argument of a function alone, as in sort_by(a, &b)"
_EQUAL: Final = "what is compared stands on both sides of =="
_OTHER_KEYS: Final = "a key of other characters than letters, digits and _ is written as in a['acme.com/tier']"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A compiled expression. Threads may share it."""

    name: str
    """As messages name it: the connector, the key that it was written under, and the expression without its literals,
    as any of them may be a secret."""
    _tree: Any = field(repr=False)
    _interpreter: TreeInterpreter = field(repr=False, compare=False, default_factory=TreeInterpreter)

    def find(self, value: Any) -> Any:
        """Return what stands in *value*, None where the path leads nowhere. Never changes *value*.

        Raises ValidationError, without text of *value*, where a function or comparison cannot take what it is given.
        """
        try:
            return self._interpreter.visit(self._tree, value)
        except _BREAKS as error:
            raise ValidationError(("/entity", f"{self.name}: {_broken(error)}")) from None

    def holds(self, value: Any) -> bool:
        """Say whether it is true of *value*, as :func:`is_true` says it of what is found. Raises as :meth:`find`."""
        return is_true(self.find(value))


def is_true(found: Any) -> bool:
    """JMESPath's own notion of truth: all but null, false, and an empty text, list or object. The number 0 is true."""
    return not (found is None or found is False or (isinstance(found, str | list | dict) and not found))


def compiled(expression: str, *, place: str) -> Expression:
    """Compile *expression* and check the functions that it calls.

    *place* names connector and key (`connector git: filters[0]`); every message begins with it. Raises ConfigError that
    says at which character the fault is, and repeats no literal of the expression: it may hold a substituted secret.
    """
    origins: Sequence[int] = range(len(expression))
    try:
        with warnings.catch_warnings():
            # A literal such as `production`, which is no JSON, is a text by common use.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            tokens: list[Any] = list(Lexer().tokenize(expression))
            text, origins, shown = _normalised(expression, tokens)
            tree = parse(text).parsed
    except ParseError as error:
        _refuse(place, error, origins)
    except EmptyExpressionError:
        raise ConfigError(f"{place}: the expression is empty") from None
    except RecursionError:
        raise ConfigError(f"{place}: the expression is nested too deeply") from None
    except ValueError:
        raise ConfigError(f"{place}: the expression holds a number that is too long") from None
    for fault in [*_quotes(tokens), *_faults({"type": "root", "children": [tree]})]:
        raise ConfigError(f"{place}: {fault}")
    return Expression(name=f"{place} ({shown})", _tree=tree)


class _Swap(NamedTuple):
    """A part of an expression that is parsed, or shown, otherwise than it is written."""

    start: int
    end: int
    text: str
    shown: str


def _swaps(expression: str, tokens: list[Any]) -> Iterator[_Swap]:
    """Yield `['k']` as `."k"` where that is meant, and other literals as they may be shown."""
    before, upto = "", 0
    for number, token in enumerate(tokens[:-1]):
        start, end = token["start"], tokens[number + 1]["start"]
        if start >= upto and before in _OPERAND_ENDS and _is_key(tokens[number : number + 3]):
            upto = tokens[number + 2]["start"] + 1
            key = json.dumps(tokens[number + 1]["value"])
            yield _Swap(start, upto, f".{key}", expression[start:upto])
        elif start >= upto and token["type"] == "literal" and isinstance(token["value"], str | list | dict):
            written = expression[start:end].rstrip()
            upto = start + len(written)
            yield _Swap(start, upto, written, "'…'")
        before = token["type"]


def _is_key(tokens: list[Any]) -> bool:
    """Whether they are `[`, a text and `]`."""
    kinds = [token["type"] for token in tokens]
    if kinds == ["lbracket", "literal", "rbracket"]:
        return isinstance(tokens[1]["value"], str)
    return kinds == ["lbracket", "quoted_identifier", "rbracket"]


def _normalised(expression: str, tokens: list[Any]) -> tuple[str, list[int], str]:
    """Return what is parsed, from where in *expression* each character of it came, and what is shown."""
    text, shown, origins, upto = "", "", list[int](), 0
    for swap in [*_swaps(expression, tokens), _Swap(len(expression), len(expression), "", "")]:
        between = expression[upto : swap.start]
        text += between + swap.text
        shown += between + swap.shown
        origins += [*range(upto, swap.start), *([swap.start] * len(swap.text))]
        upto = swap.end
    return text, origins, shown


def _refuse(place: str, error: ParseError, origins: Sequence[int]) -> NoReturn:
    if isinstance(error, IncompleteExpressionError):
        raise ConfigError(f"{place}: the expression ends where more is expected") from None
    at = error.lexer_position if isinstance(error, LexerError) else error.lex_position
    origin = origins[at] if at < len(origins) else len(origins)
    character = f"character {origin + 1} of the expression"
    if not isinstance(error, LexerError):
        raise ConfigError(f"{place}: {character} is not expected there") from None
    if error.message.startswith("Unclosed"):
        raise ConfigError(f"{place}: the quote at {character} is never closed") from None
    remedy = _EQUAL if error.token_value.startswith("=") else _OTHER_KEYS
    raise ConfigError(f"{place}: {character} cannot be read; {remedy}") from None


def _quotes(tokens: list[Any]) -> Iterator[str]:
    """Yield where a text is compared that stands in the wrong quotes: a filter would be true of all, or of none."""
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        is_alone = before["type"] in _COMPARATORS and after["type"] not in {"dot", "lbracket", "flatten", "filter"}
        if is_alone and token["type"] == "quoted_identifier" and _PLAIN.fullmatch(token["value"]):
            yield f"character {token['start'] + 1} of the expression begins {_WRONG_QUOTES}"


def _faults(node: Any) -> Iterator[str]:
    """Yield what is wrong with a tree that the parser takes."""
    kind, children = node["type"], node.get("children", [])
    if kind == "slice":
        if children[2] == 0:
            yield "the step of a slice cannot be 0"
        return
    if kind == "function_expression":
        yield from _call_faults(node["value"], [child["type"] == "expref" for child in children])
    elif any(child["type"] == "expref" for child in children):
        yield _STRAY
    if kind in _STEPS and children[0]["type"] == "not_expression":
        yield "! takes the first name alone, not the whole path; write !(a.b) for !a.b"
    for child in children:
        yield from _faults(child)


def _call_faults(name: str, are_references: list[bool]) -> Iterator[str]:
    """Yield what is wrong with a call whose arguments are references (`&a`), or not."""
    function = Functions.FUNCTION_TABLE.get(name)
    if function is None:
        yield f"there is no function {name}(); there are: {', '.join(sorted(Functions.FUNCTION_TABLE))}"
        return
    parameters, count = function["signature"], len(are_references)
    is_variadic = bool(parameters and parameters[-1].get("variadic"))
    if count < len(parameters) or (count > len(parameters) and not is_variadic):
        least = "at least " if is_variadic else ""
        plural = "" if len(parameters) == 1 else "s"
        yield f"{name}() takes {least}{len(parameters)} argument{plural}, not {count}"
        return
    for number, is_reference in enumerate(are_references):
        if is_reference != ("expref" in parameters[min(number, len(parameters) - 1)]["types"]):
            yield f"argument {number + 1} of {name}() is written {'without' if is_reference else 'with'} &"


def _broken(error: Exception) -> str:
    if isinstance(error, JMESPathTypeError):
        return f"{error.function_name}() takes {' or '.join(error.expected_types)}, not {error.actual_type}"
    if isinstance(error, RecursionError):
        return "what it is asked about is nested too deeply"
    return "it compares or computes values of types that do not go together"
