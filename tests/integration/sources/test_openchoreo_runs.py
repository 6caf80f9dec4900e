"""Type `openchoreo` in the hands of the runner: what is deleted, what is not, and where a run goes on."""

from datetime import timedelta

import pytest

from sources.schedule import Schedule
from tests.integration.sources.choreo import PAGES, fill, source
from tests.openchoreo_server import openchoreo

AT_ONCE = Schedule(rest=timedelta(0), backoff=(timedelta(0),))


@pytest.fixture
def server():
    with openchoreo() as running:
        yield running


@pytest.fixture
def steady(stage):
    """Return a stage on which a run is due at every look."""
    stage.schedule, stage.is_complete = AT_ONCE, False
    return stage


def test_of_a_project_that_is_closed_nothing_is_deleted_until_it_is_open_again(steady, server):
    everything = set(fill(server))
    steady.look(source(server))
    before = set(steady.held())
    server.remove("/orgs/acme/projects/lab/components/trial")
    server.remove("/orgs/acme/projects/pay/components/till")
    server.refused["/orgs/acme/projects/pay/components"] = 403
    partial = steady.look(source(server))
    closed = set(steady.held())
    server.refused.clear()
    healed = steady.look(source(server))

    assert before == everything
    assert (partial["last_error_class"], "acme/pay" in partial["last_error_message"]) == ("PartialRunError", True)
    assert everything - closed == {"component:acme/trial"}
    assert (healed["consecutive_failures"], closed - set(steady.held())) == (
        0,
        {"component:acme/till", "api:acme/till-rest", "api:acme/till-stream"},
    )


def test_a_run_that_failed_goes_on_with_the_list_that_failed(steady, server):
    everything = set(fill(server))
    server.failing = lambda asked: asked == PAGES[7]
    failed = steady.look(source(server))
    kept = set(steady.held())
    server.failing = lambda _: False
    server.server.asked.clear()
    healed = steady.look(source(server))

    assert (failed["last_error_class"], failed["consecutive_failures"]) == ("SourceUnreachableError", 1)
    assert "component:acme/till" not in kept
    assert (healed["consecutive_failures"], set(steady.held())) == (0, everything)
    assert set(server.asked) & set(PAGES) == set(PAGES[7:])
