"""The strategy in the how-to holds the laws that the kit in the how-to looks at."""

import re
from pathlib import Path

import pytest

from mainstem.testing.strategies import StrategyLaws
from streams.base import Claim

PAGE = Path(__file__).parents[3] / "docs/how-to/write-a-strategy.md"
LAWS = [name for name in dir(StrategyLaws) if name.startswith("test_")]


@pytest.fixture(scope="module")
def written():
    names = {}
    for code in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(code, PAGE.name, "exec"), names)
    return names


@pytest.mark.parametrize("law", LAWS)
def test_the_strategy_of_the_how_to_holds(written, law):
    kit = written["TestLongest"]()
    kit.max_examples = 30
    getattr(kit, law)()


def test_the_strategy_of_the_how_to_takes_the_longest_fresh_text_and_explains_itself(written):
    claims = [Claim("a", "ab"), Claim("b", "abc"), Claim("c", 7), Claim("y", "abcdef", is_stale=True)]
    strategy = written["Longest"]({})
    reasons = [strategy.reason(claim, claims[1], claims) for claim in claims if claim.connector != "b"]
    assert strategy.decide(claims) == ("abc", "b")
    assert reasons == ["no longer than the winner", "by the strategy", "stale"]
