from theirs.strategy import Shortest

from mainstem.testing.strategies import StrategyLaws
from streams.base import Claim


class TestShortest(StrategyLaws):
    def make(self):
        return Shortest({})


def test_the_shortest_fresh_text_wins():
    claims = [Claim("a", "long"), Claim("b", "s"), Claim("c", 7), Claim("d", "", is_stale=True)]

    assert Shortest({}).decide(claims) == ("s", "b")
