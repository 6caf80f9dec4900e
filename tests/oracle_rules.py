"""What docs/reference/merge.md says about rules, once more: naive, and sharing nothing with the product."""

import json
from dataclasses import dataclass, field

SECTIONS = ("metadata", "spec", "service")
DEFAULT_UNIONS = {
    *(("metadata", name) for name in ("tags", "links")),
    *(("spec", name) for name in ("dependsOn", "dependencyOf", "providesApis", "consumesApis")),
    *(("service", name) for name in ("dependencies", "runbooks")),
}


@dataclass(frozen=True)
class OracleRule:
    path: str
    strategy: str
    options: dict = field(default_factory=dict)
    kinds: tuple[str, ...] | None = None

    def stands_at(self) -> list[tuple[str, ...]]:
        return [tokens(path) for path in (self.path, *self.options.get("pointers", ()))]


@dataclass(frozen=True)
class Claimed:
    """What a live record says; claims stand by precedence. None: it says that the field is empty."""

    connector: str
    value: object
    observed_at: int
    stale: bool


def tokens(path):
    return tuple(each.replace("~1", "/").replace("~0", "~") for each in path.split("/")[1:])


def rule_for(rules, kind, place):
    """Return the rule that makes the field at *place* in entities of *kind*, None when the table does."""
    if place in (("metadata", "name"), ("metadata", "namespace")):
        return None
    matching = [
        (len(at), rule.kinds is not None, number)
        for number, rule in enumerate(rules)
        if rule.kinds is None or kind in rule.kinds
        for at in rule.stands_at()
        if place[: len(at)] == at
    ]
    if not matching:
        return None
    rule = rules[max(matching)[2]]
    return None if rule.strategy == "union" and place in DEFAULT_UNIONS else rule


def decided(rule, claims):
    """Return (value, winners), None when the field is left out. Not for coupled groups."""
    return _DECIDERS[rule.strategy](claims, **rule.options)


def coupled(says):
    """Return {place: value} and the winner. *says*: per record, by precedence, (connector, {place: value or None})."""
    emptied = set()
    for connector, told in says:
        given = {place: value for place, value in told.items() if value is not None}
        if given:
            return {place: value for place, value in given.items() if place not in emptied}, connector
        emptied |= set(told)
    return {}, None


# -- one strategy each


def _first(claims):
    return _of(claims[0]) if claims else None


def _authoritative(claims, connector):
    return _first([claim for claim in claims if claim.connector == connector])


def _most_recent(claims):
    for stale in (False, True):
        alike = [claim for claim in claims if claim.stale == stale]
        if alike:
            latest = max(claim.observed_at for claim in alike)
            return _of(next(claim for claim in alike if claim.observed_at == latest))
    return None


def _union(claims):
    found = {}
    for _, element in _elements(claims):
        if element not in (None, ""):
            found.setdefault((element, "") if isinstance(element, str) else (_text(element), "no text"), element)
    givers = [claim for claim, element in _elements(claims) if element not in (None, "")]
    return ([found[key] for key in sorted(found)], _names(givers)) if found else None


def _union_by_key(claims, key):
    found, givers = {}, []
    for claim, element in _elements(claims):
        if isinstance(element, dict) and element.get(key) not in (None, ""):
            found.setdefault(_text(element[key]), element)
            givers.append(claim)
    return (list(found.values()), _names(givers)) if found else None


def _deep_merge(claims):
    shown = _above_null(claims)
    if not shown:
        return None
    leaves = _leaves(shown)
    if not leaves:
        return None
    if leaves[0][0] == ():
        return _of(shown[0])
    merged = {}
    for place, _, value in leaves:
        here = merged
        for step in place[:-1]:
            here = here.setdefault(step, {})
        here[place[-1]] = value
    givers = {claim.connector for _, claim, _ in leaves}
    return merged, [claim.connector for claim in shown if claim.connector in givers]


def _leaves(column, above=()):
    """Return (place, claim, value) of all that counts at and below one place. *column*: claims, strongest first."""
    top = column[0]
    if not _is_map(top.value):
        return [(above, top, top.value)]
    names = dict.fromkeys(name for claim in column if _is_map(claim.value) for name in claim.value)
    found = []
    for name in names:
        below = []
        for claim in column:
            if not _is_map(claim.value) or claim.value.get(name, "") == "":
                continue
            if claim.value[name] is None:
                break
            below.append(Claimed(claim.connector, claim.value[name], claim.observed_at, claim.stale))
        if below:
            found += _leaves(below, (*above, name))
    return found


def _best(claims, *, sign):
    shown = _best_alive(claims)
    if not shown:
        return None
    alike = [claim for claim in shown if _kind(claim.value) == _kind(shown[0].value)]
    if _kind(shown[0].value) == "unordered":
        return _of(shown[0])
    best = alike[0]
    for claim in alike[1:]:
        if (claim.value < best.value) if sign < 0 else (claim.value > best.value):
            best = claim
    return _of(best)


def _rank(claims, values):
    shown = _best_alive(claims)
    for value in values:
        for claim in shown:
            if _text(claim.value) == _text(value):
                return _of(claim)
    return _of(shown[0]) if shown else None


_DECIDERS = {
    "first_by_priority": _first,
    "authoritative": _authoritative,
    "most_recent": _most_recent,
    "union": _union,
    "union_by_key": _union_by_key,
    "deep_merge": _deep_merge,
    "min": lambda claims: _best(claims, sign=-1),
    "max": lambda claims: _best(claims, sign=1),
    "rank": _rank,
    "drop": lambda _claims: None,
}


def _of(claim):
    return None if claim.value is None else (claim.value, claim.connector)


def _above_null(claims):
    nulls = [place for place, claim in enumerate(claims) if claim.value is None]
    return claims[: nulls[0]] if nulls else claims


def _best_alive(claims):
    """Return the fresh ones above the first null; where there is none, the stale ones."""
    shown = _above_null(claims)
    return [claim for claim in shown if not claim.stale] or shown


def _elements(claims):
    return [
        (claim, element)
        for claim in _above_null(claims)
        for element in (claim.value if isinstance(claim.value, list) else [])
    ]


def _names(claims):
    return list(dict.fromkeys(claim.connector for claim in claims))


def _is_map(value):
    return isinstance(value, dict) and not (len(value) == 1 and next(iter(value)).startswith("$"))


def _kind(value):
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else "unordered"


def _text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
