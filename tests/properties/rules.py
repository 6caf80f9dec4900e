"""Random rules, of every strategy as often."""

from hypothesis import strategies as st

from tests.oracle_rules import OracleRule

_FIELDS = (
    "/metadata/title", "/metadata/x-a~1b~0c", "/metadata/tags", "/metadata/links",
    "/metadata/annotations/acme.com~1tier", "/metadata/annotations/backstage.io~1view-url", "/metadata/labels/env",
    "/spec/type", "/spec/owner", "/spec/definition", "/spec/dependsOn", "/spec/profile", "/spec/extra",
    "/spec/children", "/service/tier", "/service/onCall", "/service/dependencies", "/service/runbooks",
)  # fmt: skip
PATHS = (*_FIELDS, "/metadata", "/metadata/annotations", "/metadata/labels", "/spec", "/service")
_OPTIONS = {
    **dict.fromkeys(("first_by_priority", "most_recent", "union", "deep_merge", "min", "max", "drop"), st.just({})),
    "authoritative": st.sampled_from(("git", "cmdb", "oncall")).map(lambda name: {"connector": name}),
    "union_by_key": st.sampled_from(("url", "target", "title", "id")).map(lambda name: {"key": name}),
    "rank": st.sampled_from((["b", "a"], ["x", 2, 1], ["prod", True, {"a": None}])).map(lambda of: {"values": of}),
}
_KINDS = st.sampled_from((None, None, ("component", "api"), ("group", "widget")))


def ruled(paths: tuple[str, ...]) -> st.SearchStrategy[OracleRule]:
    """Return one rule at one of *paths*; a coupled group has members of its own."""
    plain = [
        st.builds(OracleRule, st.sampled_from(paths), st.just(name), options, _KINDS)
        for name, options in _OPTIONS.items()
    ]
    others = st.lists(st.sampled_from(_FIELDS), min_size=1, max_size=3)
    single = [path for path in paths if path in _FIELDS]
    group = st.builds(lambda path, of: OracleRule(path, "coupled", {"pointers": of}), st.sampled_from(single), others)
    return st.one_of(*plain, group) if single else st.one_of(*plain)


def apart(drawn: list[OracleRule]) -> tuple[OracleRule, ...]:
    """Return *drawn* less what stands at the same path as another that is as close to some kind."""
    kept: list[OracleRule] = []
    for rule in drawn:
        taken = {at for one in kept if one.kinds == rule.kinds for at in one.stands_at()}
        if not taken & set(rule.stands_at()):
            kept.append(rule)
    return tuple(kept)


rules = st.just(()) | st.lists(ruled(PATHS), min_size=1, max_size=4).map(apart)
