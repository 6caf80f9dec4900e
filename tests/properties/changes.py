"""Random changes of five connectors about few entities: small pools, so that they collide.

Each history has a theme, a few fields that all its records speak of: among forty fields two records seldom meet.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.oracle import Connector, Said, World
from tests.oracle_rules import OracleRule

EPOCH = 1_700_000_000_000
HOUR = 3600
CONNECTORS = ("git", "cmdb", "oncall", "unconfigured", "override")

ABSENT = object()
TEXTS = (ABSENT, ABSENT, None, "", "a", "b", "Zürich \N{GRINNING FACE}", {"$text": "./x"})
VALUES = (ABSENT, None, "", "x", 0, 1, 1.0, True, False, [], {}, ["", None], {"a": None}, {"b": "", "a": [1]}, 1.5)
REFS = (
    "pay", "Pay", "api:pay", "API:default/Pay", "team/pay", "component:team/PAY", "component:pay", "Component:cart",
    "not a ref", "Not A Ref", "a:b:c", None, {"$text": "ref"}, '{"$text":"ref"}',
)  # fmt: skip
URLS = ("https://a.example", "https://b.example/x", "https://c.example?y=1")
LOCATIONS = (
    "backstage.io/managed-by-location", "backstage.io/managed-by-origin-location",
    "backstage.io/view-url", "backstage.io/edit-url",
)  # fmt: skip


Draw = Callable[[Random], Any]
"""What draws a value; a tuple in its place is a pool to choose from.

The parts of a change are drawn by a seed and not by hypothesis, which thus spends its time on many histories of which
it can leave out changes, instead of on a few whose every field it could shrink.
"""


def drawer(given: "tuple | Draw") -> Draw:
    return (lambda random: random.choice(given)) if isinstance(given, tuple) else given


def objects(fields: dict) -> Draw:
    """Return objects that have some of *fields*; a draw or pool may give ABSENT."""
    drawers = {name: drawer(given) for name, given in fields.items()}

    def draw(random: Random) -> dict:
        return {name: value for name, of in drawers.items() if (value := of(random)) is not ABSENT}

    return draw


def mostly(odds: int, given: "tuple | Draw", others: tuple) -> Draw:
    """Return one of *others* once in *odds* times, else what *given* draws."""
    usual = drawer(given)
    return lambda random: usual(random) if random.randrange(odds) else random.choice(others)


def maybe(given: Draw, *others) -> Draw:
    """Return *given* in most cases, else absent, null, an empty list, object or text, or *others*."""
    return mostly(4, given, (ABSENT, None, None, [], {}, "", *others))


def lists(given: "tuple | Draw") -> Draw:
    drawn = drawer(given)
    return lambda random: [drawn(random) for _ in range(random.randrange(4))]


def maybe_list(given: Draw) -> Draw:
    """Return lists of *given*, seldom absent, null or empty."""
    return mostly(5, lists(given), (ABSENT, None, None, []))


_ELEMENT = {"title": (ABSENT, None, "one", "two"), "type": (ABSENT, "x", "y")}
_LINK = objects({"url": (*URLS, *URLS, ABSENT, None, "", {"$text": "u"}), **_ELEMENT})
_LINKS = maybe(lists(mostly(8, _LINK, (None,))))
_ANNOTATIONS = objects(
    dict.fromkeys(LOCATIONS, (ABSENT, ABSENT, ABSENT, None, "", "url:a", "url:b"))
    | {
        "backstage.io/orphan": (ABSENT, ABSENT, "true", None),
        "acme.com/tier": (ABSENT, None, "", "1", "2", {"$text": "t"}),
        "a.b/c_d": (ABSENT, "x"),
    }
)
_TAGS = ("a", "b", "java", "c++", "z-9", None, {"$text": "tag"})
_METADATA = {
    "annotations": maybe(_ANNOTATIONS),
    "labels": maybe(objects({"env": (ABSENT, None, "", "prod", "dev"), "x/y": (ABSENT, None, "1", "2")})),
    "tags": maybe(lists(_TAGS)),
    "links": _LINKS,
    "title": TEXTS,
    "description": TEXTS,
    "x-a/b~c": VALUES,
    "etag": (ABSENT, ABSENT, "e1", "e2"),
    "generation": (ABSENT, 1),
}
_REF_LISTS = {name: maybe(lists(REFS)) for name in ("dependsOn", "providesApis", "consumesApis")}
_SPECS = {
    "Component": {"type": TEXTS, "owner": TEXTS, "dependencyOf": maybe(lists((*REFS, "")), 5, "text"), **_REF_LISTS},
    "API": {"type": TEXTS, "owner": TEXTS, "definition": TEXTS, "extra": VALUES},
    "Resource": {"type": TEXTS, "dependsOn": _REF_LISTS["dependsOn"], "dependencyOf": maybe(lists(REFS))},
    "Group": {
        "type": TEXTS,
        "children": maybe(lists(("a", "b"))),
        "members": maybe(lists(("u", "v", None))),
        "profile": maybe(objects({"displayName": TEXTS, "email": TEXTS})),
    },
    "User": {"memberOf": maybe(lists(("a", "b"))), "profile": maybe(objects({"displayName": TEXTS, "email": TEXTS}))},
    "Widget": {"dependsOn": maybe(lists((*REFS, "", 1, 1.0, [])), 7), "type": VALUES, "definition": VALUES},
}
_DEPENDENCY = objects(
    {
        "target": ("pay", "Pay", "cart", "cart", "", None, {"$text": "t"}),
        "type": (ABSENT, None, "runtime", "build"),
        "isCritical": (ABSENT, None, True, False, False, 1, "true"),
    }
)
_SERVICE = {
    "tier": VALUES,
    "ownerTeam": TEXTS,
    "onCall": (ABSENT, None, {}, {"userId": "u", "name": None}, {"userId": "v", "until": ""}),
    "x/~": VALUES,
    "dependencies": maybe_list(mostly(8, _DEPENDENCY, (None,))),
    "runbooks": maybe_list(objects({"url": (*URLS, "not a url", "", None), "title": (ABSENT, "", "r", "s")})),
}
_NAMES = ("pay", "Pay", "PAY", "pay", "Pay") * 5 + ("cart",)
_NAMESPACES = {"default": (ABSENT,) * 15 + ("default",) * 9 + ("team",), "team": ("team",) * 12 + ("default",)}
"""By the namespace that a history is about, those of its entities."""

EVERYTHING = ()
_THEMES = (
    EVERYTHING,
    ("links", "tags", "runbooks"),
    ("links", "runbooks"),
    ("dependencies",),
    ("dependencies", "runbooks", "owner", "tier"),
    ("annotations",),
    ("annotations", "labels"),
    ("definition", "type"),
    ("definition", "type", "owner", "extra"),
    ("dependsOn", "dependencyOf", "providesApis", "consumesApis"),
    ("children", "members", "memberOf", "profile", "type"),
    ("title", "description", "owner", "type", "x-a/b~c", "tier", "onCall", "x/~", "ownerTeam"),
)
_KINDS = {
    "definition": ("API", "API", "API", "Widget"),
    "children": ("Group", "Group", "User"),
    "dependsOn": ("Component", "Component", "Resource", "Widget"),
}
"""By the first field of a theme, the kinds that have it in their spec; the others have theirs in every kind."""


def _themed(fields: dict, theme: tuple[str, ...]) -> dict:
    return {name: pool for name, pool in fields.items() if not theme or name in theme}


class Topic(NamedTuple):
    """What a history is about."""

    kind: str
    theme: tuple[str, ...]
    namespace: str


@cache
def entities(topic: Topic, *, is_one: bool) -> Draw:
    """Return entities of the topic; *is_one*: one and the same."""
    kind, theme, namespace = topic
    spaces = _NAMESPACES[namespace][:-1] if is_one else _NAMESPACES[namespace]
    names = _NAMES[:-1] if is_one else _NAMES
    metadata = {"name": names, "namespace": spaces, **_themed(_METADATA, theme)}
    return objects(
        {
            "apiVersion": ("backstage.io/v1alpha1", "backstage.io/v1beta1"),
            "kind": (kind,),
            "metadata": objects(metadata),
            "spec": mostly(8, objects(_themed(_SPECS[kind], theme)), (ABSENT, None, {})),
            "relations": (ABSENT, ABSENT, ABSENT, []),
            "status": (ABSENT, ABSENT, ABSENT, {}),
        }
    )


def _moment(seconds: int, form: str):
    """Return *seconds* after EPOCH as an `observedAt` of that form."""
    moment = datetime.fromtimestamp(EPOCH / 1000 + seconds, tz=UTC)
    return {
        "absent": ABSENT,
        "null": None,
        "ms": EPOCH + seconds * 1000,
        "Z": moment.strftime("%Y-%m-%dT%H:%M:%S.1239Z"),
        "lower": moment.strftime("%Y-%m-%dt%H:%M:%Sz"),
        "zone": (moment + timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.5+05:30"),
        "bad": "yesterday",
    }[form]


_FORMS = ("absent", "absent", "ms", "ms", "Z", "lower", "zone", "null") * 6 + ("bad",)


def _observed(random: Random):
    return _moment(random.randrange(13) * 600, random.choice(_FORMS))


_COMMON = {
    "observedAt": _observed,
    "version": (ABSENT,) * 6 + (None, 1, 2, 3),
    "generation": (ABSENT,) * 16 + (None, 0, 1, -1),
    "ttlSeconds": (ABSENT,) * 7 + (None, 600, HOUR, 2 * HOUR),
    "priority": (ABSENT, ABSENT, ABSENT, None, 0, 50, 100, -5),
    "id": (ABSENT, "trace"),
}


@cache
def upserts(topic: Topic, *, is_one: bool) -> Draw:
    service = mostly(8, objects(_themed(_SERVICE, topic.theme)), (ABSENT, None, {}))
    entity = entities(topic, is_one=is_one)
    return objects({"op": (ABSENT, None, "upsert"), "entity": entity, "service": service, **_COMMON})


@cache
def deletes(topic: Topic) -> Draw:
    spaces = ("team/",) * 4 + ("",) if topic.namespace == "team" else ("", "", "", "Default/", "team/")
    refs = [f"{topic.kind}:{at}{name}" for at in spaces for name in ("pay", "pay", "PAY", "Cart")]
    return objects({"op": ("delete",), "entityRef": (*refs, *refs, "pay", ABSENT), **_COMMON})


SEEDS = st.integers(0, 2**24 - 1)
"""Of more bits hypothesis prefers small numbers."""


def voice(topic: Topic, connector: str, seed: int) -> Said:
    """Return an upsert of *connector* about the entity that all voices speak of."""
    random = Random(seed)
    return Said(connector, EPOCH + random.randrange(13) * 600_000, upserts(topic, is_one=True)(random))


def other(topic: Topic, seed: int) -> Said:
    """Return a change of any connector about any entity of the topic; one in six is a delete."""
    random = Random(seed)
    draw = upserts(topic, is_one=False) if random.randrange(6) else deletes(topic)
    return Said(random.choice(CONNECTORS), EPOCH + random.randrange(13) * 600_000, draw(random))


def echo(topic: Topic, said: Said, seed: int) -> Said:
    """Return *said* once more, as an upsert or a delete, at its time or another, with other words about its life."""
    random = Random(seed)
    document = said.document
    if not random.randrange(8):
        document = {name: value for name, value in document.items() if name in _COMMON}
        document |= {"op": "delete", "entityRef": f"{topic.kind}:{topic.namespace}/pay"}
    redrawn = objects({name: _COMMON[name] for name in ("observedAt", "ttlSeconds", "priority") if random.randrange(2)})
    timestamp = random.choice((said.timestamp, said.timestamp + random.randrange(-2, 3) * 600_000))
    return Said(said.connector, timestamp, {**document, **redrawn(random)})


@st.composite
def histories(draw, *, max_size: int = 5) -> list[Said]:
    """Return what several connectors say about one entity, and up to *max_size* echoes and other changes after it."""
    theme = draw(st.sampled_from(_THEMES))
    kind = draw(st.sampled_from(_KINDS.get(theme[0] if theme else "", tuple(_SPECS))))
    topic = Topic(kind, theme, draw(st.sampled_from(("default", "default", "team"))))
    voices = draw(st.sampled_from((1, 3, 4, 4, 5, 5, 5, 5)))
    chorus = [voice(topic, name, draw(SEEDS)) for name in draw(st.permutations(CONNECTORS))[:voices]]
    rest = draw(st.lists(SEEDS, max_size=max_size))
    return chorus + [echo(topic, chorus[seed % voices], seed) if seed % 3 else other(topic, seed) for seed in rest]


_CONFIGURED = st.builds(
    Connector,
    priority=st.sampled_from((0, 50, 100)),
    ttl=st.sampled_from((float("inf"), float("inf"), 600, HOUR, 3 * HOUR, 3 * HOUR)),
    grace=st.sampled_from((0, HOUR, 2 * HOUR, 3 * HOUR)),
    max_stale=st.sampled_from((0, 600, HOUR, 24 * HOUR)),
    asserts_existence=st.sampled_from((True, True, True, False)),
)
_FIELDS = (
    "/metadata/title", "/metadata/x-a~1b~0c", "/metadata/tags", "/metadata/links",
    "/metadata/annotations/acme.com~1tier", "/metadata/annotations/backstage.io~1view-url", "/metadata/labels/env",
    "/spec/type", "/spec/owner", "/spec/definition", "/spec/dependsOn", "/spec/profile", "/spec/extra",
    "/spec/children", "/service/tier", "/service/onCall", "/service/dependencies", "/service/runbooks",
)  # fmt: skip
_ABOVE = ("/metadata", "/metadata/annotations", "/metadata/labels", "/spec", "/service")
_PLAIN = ("first_by_priority", "most_recent", "union", "deep_merge", "min", "max", "drop")
_RULED = st.one_of(
    *(
        st.builds(OracleRule, path=st.sampled_from(_FIELDS + _ABOVE), strategy=st.just(strategy), options=options,
                  kinds=st.sampled_from((None, None, ("component", "api"), ("group", "widget"))))
        for strategy, options in {
            **dict.fromkeys(_PLAIN, st.just({})),
            "authoritative": st.sampled_from(CONNECTORS).map(lambda name: {"connector": name}),
            "union_by_key": st.sampled_from(("url", "target", "title")).map(lambda name: {"key": name}),
            "rank": st.sampled_from((["b", "a"], ["x", 1, 0], ["prod", {"a": None}])).map(lambda of: {"values": of}),
        }.items()
    ),
    st.builds(
        lambda path, others: OracleRule(path, "coupled", {"pointers": others}),
        st.sampled_from(_FIELDS),
        st.lists(st.sampled_from(_FIELDS), min_size=1, max_size=3),
    ),
)  # fmt: skip
"""One rule, of every strategy as often."""


def _apart(drawn: list[OracleRule]) -> tuple[OracleRule, ...]:
    """Return *drawn* less what stands at the same path as another that is as close to some kind."""
    kept: list[OracleRule] = []
    for rule in drawn:
        taken = {at for one in kept if one.kinds == rule.kinds for at in one.stands_at()}
        if not taken & set(rule.stands_at()):
            kept.append(rule)
    return tuple(kept)


rules = st.just(()) | st.lists(_RULED, min_size=1, max_size=4).map(_apart)
worlds = st.builds(
    lambda git, cmdb, oncall, of: World({"git": git, "cmdb": cmdb, "oncall": oncall}, rules=of),
    _CONFIGURED,
    _CONFIGURED,
    _CONFIGURED,
    rules,
)
_OUTAGE = (
    st.lists(st.integers(0, 40), max_size=6, unique=True)
    .map(sorted)
    .map(
        lambda marks: [
            (EPOCH + begin * 300_000, float("inf") if end is None else EPOCH + end * 300_000)
            for begin, end in zip(marks[::2], [*marks[1::2], *([None] * (len(marks) % 2))], strict=True)
        ]
    )
)
outages = st.dictionaries(st.sampled_from(CONNECTORS), _OUTAGE, max_size=3)
moments = st.integers(0, 45).map(lambda n: EPOCH + n * 300_000)

_CRITICAL = objects(
    {"target": ("pay", "cart"), "type": (ABSENT, "runtime", "build"), "isCritical": (ABSENT, None, True, False, 1)}
)
_CRITICALS = mostly(8, lists(_CRITICAL), (None,))


@st.composite
def dependants(draw) -> list[Said]:
    """Return changes of which each speaks of the same two dependencies: among all else they seldom meet."""
    entity = {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "pay"}}
    names = draw(st.permutations(CONNECTORS))[: draw(st.integers(2, 5))]
    return [
        Said(name, EPOCH, {"entity": entity, "service": {"dependencies": _CRITICALS(Random(draw(SEEDS)))}})
        for name in names
    ]
