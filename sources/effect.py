"""What a run says of a mapping that was without effect, once it has read everything."""

from collections.abc import Collection, Iterator, Mapping


def found_nothing(expression: str, count: int, refused: int) -> str:
    """*expression* is its name (:attr:`sources.expressions.Expression.name`). It may be in what was *refused*."""
    more = f"; refused: {refused:,}" if refused else ""
    return f"{expression} found nothing in any entity; looked at: {count:,}{more}"


def doubts(
    adding: Mapping[str, str], silent: Collection[str], *, mapped: int, left_out: int, refused: int
) -> Iterator[str]:
    """Yield a sentence for each expression of *adding* (:attr:`sources.mapping.Mapper.adding`) whose key is in
    *silent*: it found nothing in any of the entities that were *mapped*.

    *left_out* is the number of those that `entity_types` and `filters` left out, *refused* that of what could not be
    read or used, where it may be.
    """
    if mapped:
        yield from (found_nothing(name, mapped, refused) for key, name in adding.items() if key in silent)
    elif left_out:
        yield f"entity_types and filters leave out every entity; looked at: {left_out:,}"
