"""Hypothesis profiles: the same examples every time in CI, many more when asked for."""

import os

from hypothesis import HealthCheck, Phase, settings

_COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
_UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Shrinking a history of changes outlasts the time limit of a test, and nobody would see the failure."""

settings.register_profile("mainstem", max_examples=200, **_COMMON)
settings.register_profile("ci", max_examples=200, derandomize=True, database=None, phases=_UNSHRUNK, **_COMMON)
settings.register_profile("deep", max_examples=5_000, **_COMMON)

_CHOSEN = os.environ.get("MAINSTEM_TEST_HYPOTHESIS")
settings.load_profile(_CHOSEN or ("ci" if os.environ.get("CI") == "true" else "mainstem"))
