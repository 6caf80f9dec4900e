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
from tests.properties.rules import PATHS, apart, ruled, rules

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


_DISPUTED = (
    (("spec", "x"), ("/spec/x", "/spec")),
    (("service", "x"), ("/service/x", "/service")),
    (("metadata", "x"), ("/metadata/x", "/metadata")),
    (("metadata", "annotations", "x"), ("/metadata/annotations/x", "/metadata/annotations", "/metadata")),
)
_NESTED = objects({"p": (ABSENT, None, "", 1, {"q": 1}), "q": (ABSENT, None, 2, {"r": None, "s": 2}, {"$text": "t"})})
_ELEMENTS = lists(objects({"id": (ABSENT, None, "", 1, 1.0, "1"), "of": ("one", "two")}))
_CLAIMED = (
    drawer((None, "", 1, 2, 3, 2.0, 1.5)),
    drawer((None, "", "a", "b", "B", "c", 1)),
    drawer((None, True, False, 1, 0)),
    mostly(6, _NESTED, (None, {}, 5, {"$text": "x"})),
    mostly(6, _ELEMENTS, (None, [], "a", [1, "1", None, "", [1]])),
)
"""What a dispute is about: values of one kind, so that they can be compared."""


@st.composite
def disputes(draw) -> tuple[list[Said], World]:
    """Return what connectors, fresh and stale, claim about one field, in a world with a rule for it."""
    place, paths = draw(st.sampled_from(_DISPUTED))
    rules_of = apart([draw(ruled(paths)), *draw(st.just(()) | st.tuples(ruled(paths) | ruled(PATHS)))])
    random = Random(draw(SEEDS))
    is_map = len(place) > 2
    claimed = drawer((None, "", "a", "b", "c")) if is_map else random.choice(_CLAIMED)
    said = []
    for name in random.sample(CONNECTORS, random.randrange(2, 6)):
        value = {place[-1]: claimed(random)}
        holder = random.choice((value, value, value, value, {}, None)) if is_map else value
        sections = {"metadata": {}, "spec": {}, "service": {}}
        sections[place[0]] = {place[1]: holder} if is_map else value
        entity = {"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "w", **sections["metadata"]}}
        document = {"entity": {**entity, "spec": sections["spec"]}, "service": sections["service"]}
        ttl = {"ttlSeconds": random.choice((600, HOUR))}
        said.append(Said(name, EPOCH + random.randrange(3) * 600_000, document | ttl))
    configured = {name: Connector(priority=random.choice((0, 50)), grace=5 * HOUR) for name in CONNECTORS[:3]}
    return said, World(configured, rules=rules_of)
