"""The sink `backstage` on a real Backstage: as `tests/integration/sinks/backstage_stage.py` drives it."""

from sinks.backstage.circuit import Pace
from tests.integration.sinks.backstage_stage import Brisk, exactly
from tests.patience import eventually


class Patient(Brisk):
    """Backstage takes its time on a machine that is busy."""

    pace = Pace(probe_seconds=0.5, gate_seconds=0.1, read_seconds=30.0, total_seconds=60.0)


def shows(backstage, *entities):
    """Wait until *backstage* shows exactly *entities* of all that Mainstem merged."""
    wanted = exactly(*entities)
    eventually(lambda: backstage.mainstems() == wanted, 60, lambda: _difference(backstage, wanted))


def _difference(backstage, wanted):
    found = backstage.mainstems()
    said = {ref: (wanted.get(ref), found.get(ref)) for ref in wanted | found if wanted.get(ref) != found.get(ref)}
    return f"(wanted, shown): {said}\n{backstage.tail()}"
