"""Random changes of five connectors about few entities: small pools, so that they collide.

Each history has a theme, a few fields that all its records speak of: among forty fields two records seldom meet.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import cache

from hypothesis import strategies as st

from tests.oracle import Connector, Said, World

EPOCH = 1_700_000_000_000
HOUR = 3600
CONNECTORS = ("git", "cmdb", "oncall", "unconfigured", "override")

ABSENT = object()
TEXTS = (ABSENT, ABSENT, None, "", "a", "b", "Zürich \N{GRINNING FACE}", {"$text": "./x"})
VALUES = (ABSENT, None, "", "x", 0, 1, 1.0, True, False, [], {}, ["", None], {"a": None}, {"b": "", "a": [1]}, 1.5)
REFS = (
    "pay", "Pay", "api:pay", "API:default/Pay", "team/pay", "component:team/PAY", "component:pay", "Component:cart",
    "not a ref", "Not A Ref", "a:b:c", None, {"$text": "ref"},
)  # fmt: skip
URLS = ("https://a.example", "https://b.example/x", "https://c.example?y=1")
LOCATIONS = (
    "backstage.io/managed-by-location", "backstage.io/managed-by-origin-location",
    "backstage.io/view-url", "backstage.io/edit-url",
)  # fmt: skip


def objects(fields: dict) -> st.SearchStrategy:
    """Return objects that have some of *fields*; a strategy or pool may give ABSENT."""
    drawn = {
        name: pool if isinstance(pool, st.SearchStrategy) else st.sampled_from(pool) for name, pool in fields.items()
    }
    return st.fixed_dictionaries(drawn).map(
        lambda found: {name: value for name, value in found.items() if value is not ABSENT}
    )


def maybe(strategy: st.SearchStrategy, *others) -> st.SearchStrategy:
    """Return *strategy* in most cases, else absent, null, an empty list, object or text, or *others*."""
    rest = st.sampled_from((ABSENT, None, None, [], {}, "", *others))
    return st.integers(0, 3).flatmap(lambda n: strategy if n else rest)


def lists(pool) -> st.SearchStrategy:
    return st.lists(st.sampled_from(pool) if isinstance(pool, tuple) else pool, max_size=3)


def maybe_list(strategy: st.SearchStrategy) -> st.SearchStrategy:
    """Return lists of *strategy*, seldom absent, null or empty."""
    others = st.sampled_from((ABSENT, None, None, []))
    return st.integers(0, 4).flatmap(lambda n: lists(strategy) if n else others)


_ELEMENT = {"title": (ABSENT, None, "one", "two"), "type": (ABSENT, "x", "y")}
_LINKS = maybe(lists(objects({"url": (*URLS, *URLS, ABSENT, None, "", {"$text": "u"}), **_ELEMENT}) | st.none()))
_ANNOTATIONS = objects(
    dict.fromkeys(LOCATIONS, (ABSENT, ABSENT, ABSENT, None, "", "url:a", "url:b"))
    | {
        "backstage.io/orphan": (ABSENT, ABSENT, "true", None),
        "acme.com/tier": (ABSENT, None, "", "1", "2", {"$text": "t"}),
        "a.b/c~d": (ABSENT, "x"),
    }
).map(lambda found: {"a.b/c_d" if key == "a.b/c~d" else key: value for key, value in found.items()})
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
_SERVICE = {
    "tier": VALUES,
    "ownerTeam": TEXTS,
    "onCall": (ABSENT, None, {}, {"userId": "u", "name": None}, {"userId": "v", "until": ""}),
    "x/~": VALUES,
    "dependencies": maybe_list(
        objects(
            {
                "target": ("pay", "Pay", "cart", "cart", "", None, {"$text": "t"}),
                "type": (ABSENT, None, "runtime", "build"),
                "isCritical": (ABSENT, None, True, False, 1, "true"),
            }
        )
        | st.none()
    ),
    "runbooks": maybe_list(objects({"url": (*URLS, "not a url", "", None), "title": (ABSENT, "", "r", "s")})),
}
_NAMES = ("pay", "Pay", "PAY", "pay", "Pay", "pay", "pay", "Pay", "cart")
_NAMESPACES = (ABSENT,) * 5 + ("default",) * 3 + ("team",)

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

Theme = tuple[str, ...]


def _themed(fields: dict, theme: Theme) -> dict:
    return {name: pool for name, pool in fields.items() if not theme or name in theme}


@cache
def entities(kind: str, theme: Theme = EVERYTHING, names: Collection[str] = _NAMES) -> st.SearchStrategy:
    spaces = _NAMESPACES if "cart" in names else _NAMESPACES[:-1]
    metadata = {"name": names, "namespace": spaces, **_themed(_METADATA, theme)}
    spec = objects(_themed(_SPECS[kind], theme))
    return objects(
        {
            "apiVersion": ("backstage.io/v1alpha1", "backstage.io/v1beta1"),
            "kind": (kind,),
            "metadata": objects(metadata),
            "spec": st.integers(0, 7).flatmap(lambda n: spec if n else st.sampled_from((ABSENT, None, {}))),
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
_OBSERVED = st.builds(_moment, st.integers(0, 12).map(lambda n: n * 600), st.sampled_from(_FORMS))
_COMMON = {
    "observedAt": _OBSERVED,
    "version": (ABSENT,) * 6 + (None, 1, 2, 3),
    "generation": (ABSENT,) * 16 + (None, 0, 1, -1),
    "ttlSeconds": (ABSENT,) * 7 + (None, 600, HOUR, 2 * HOUR),
    "priority": (ABSENT, ABSENT, ABSENT, None, 0, 50, 100, -5),
    "id": (ABSENT, "trace"),
}


@cache
def upserts(kind: str, theme: Theme = EVERYTHING, names: Collection[str] = _NAMES) -> st.SearchStrategy:
    facts = objects(_themed(_SERVICE, theme))
    service = st.integers(0, 7).flatmap(lambda n: facts if n else st.sampled_from((ABSENT, None, {})))
    entity = entities(kind, theme, names)
    return objects({"op": (ABSENT, None, "upsert"), "entity": entity, "service": service, **_COMMON})


@cache
def deletes(kind: str) -> st.SearchStrategy:
    refs = [f"{kind}:{at}{name}" for at in ("", "", "", "Default/", "team/") for name in ("pay", "pay", "PAY", "Cart")]
    return objects({"op": ("delete",), "entityRef": (*refs, *refs, "pay", ABSENT), **_COMMON})


_TIMESTAMPS = st.integers(0, 12).map(lambda n: EPOCH + n * 600_000)


@cache
def said(kind: str, theme: Theme = EVERYTHING) -> st.SearchStrategy:
    """Return changes of any connector about any entity of *kind*; one in six is a delete."""
    document = st.integers(0, 5).flatmap(lambda n: upserts(kind, theme) if n else deletes(kind))
    return st.builds(Said, st.sampled_from(CONNECTORS), _TIMESTAMPS, document)


@cache
def _choruses(kind: str, theme: Theme) -> st.SearchStrategy:
    """Return upserts of three to five connectors, or of one, about one and the same entity."""
    upsert = upserts(kind, theme, ("pay", "Pay"))
    voices = st.permutations(CONNECTORS).flatmap(
        lambda names: st.sampled_from((1, 3, 4, 4, 5, 5)).map(lambda count: names[:count])
    )
    return voices.flatmap(lambda names: st.tuples(*(st.builds(Said, st.just(one), _TIMESTAMPS, upsert) for one in names)))


@st.composite
def histories(draw, *, max_size: int = 5) -> list[Said]:
    """Return what several connectors say about one entity, and up to *max_size* changes of any connector after it."""
    theme = draw(st.sampled_from(_THEMES))
    kinds = _KINDS.get(theme[0] if theme else "", tuple(_SPECS))
    kind = draw(st.sampled_from(kinds))
    chorus = draw(_choruses(kind, theme))
    rest = draw(st.lists(said(kind, theme), max_size=max_size))
    return [*chorus, *rest]


_CONFIGURED = st.builds(
    Connector,
    priority=st.sampled_from((0, 50, 100)),
    ttl=st.sampled_from((float("inf"), float("inf"), 600, HOUR, 3 * HOUR)),
    grace=st.sampled_from((0, HOUR, 2 * HOUR, 3 * HOUR)),
    asserts_existence=st.sampled_from((True, True, False)),
)
worlds = st.builds(
    lambda git, cmdb, oncall: World({"git": git, "cmdb": cmdb, "oncall": oncall}), _CONFIGURED, _CONFIGURED, _CONFIGURED
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

_DEPENDENCY = objects(
    {"target": ("pay", "cart"), "type": (ABSENT, "runtime", "build"), "isCritical": (ABSENT, None, True, False, 1)}
)
dependants = st.lists(
    st.builds(
        lambda connector, found: Said(
            connector,
            EPOCH,
            {
                "entity": {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "pay"}},
                "service": {"dependencies": found},
            },
        ),
        st.sampled_from(CONNECTORS),
        st.lists(_DEPENDENCY, min_size=1, max_size=3) | st.none(),
    ),
    min_size=2,
    max_size=5,
)
"""Changes of which each speaks of the same two dependencies: among all else they seldom meet."""
