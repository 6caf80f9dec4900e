"""Writes the dashboard that an operator opens first: `make generated`."""

import itertools
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    VariableOption,
    VariableRefresh,
)

from deploy.grafana.panels import ROWS
from deploy.grafana.shown import Shown

FILE: Final = Path(__file__).parent / "dashboards/overview.json"
UID: Final = "mainstem-overview"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
ALL: Final = VariableOption(selected=True, text="All", value="$__all")
NUMBER_HEIGHT, HEIGHT = 4, 8


def overview() -> str:
    """Return the dashboard as JSON."""
    made = (
        dashboard.Dashboard("Mainstem: overview")
        .uid(UID)
        .description("Whether everything flows, how fresh it is, and what an operator must see to.")
        .tags(["mainstem"])
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("role", "Role", "label_values(mainstem_ready, role)"))
        .with_variable(_choice("connector", "Connector", "label_values(mainstem_processor_ended_total, connector)"))
    )
    numbers = itertools.count(1)
    for title, panels in ROWS.items():
        made.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in panels:
            made.with_panel(_panel(panel).id(next(numbers)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(ALL)
    )


def _panel(shown: Shown) -> Any:
    makers = {"number": _number, "states": _states}
    panel = makers.get(shown.kind, _lines)(shown)
    panel.title(shown.title).description(shown.about).datasource(SOURCE).span(shown.width)
    panel.height(NUMBER_HEIGHT if shown.kind == "number" else HEIGHT)
    for place, (legend, expression) in enumerate(shown.queries):
        panel.with_target(
            prometheus.Dataquery()
            .datasource(SOURCE)
            .expr(expression)
            .legend_format(legend)
            .ref_id(chr(ord("A") + place))
        )
    return panel


def _number(shown: Shown) -> stat.Panel:
    steps = [Threshold(value=None, color="green"), Threshold(value=shown.alarm, color="red")]
    return (
        stat.Panel()
        .unit(shown.units)
        .color_mode(BigValueColorMode.BACKGROUND)
        .reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().steps(steps))
    )


def _states(shown: Shown) -> statetimeline.Panel:
    return statetimeline.Panel().unit(shown.units).row_height(0.8)


def _lines(shown: Shown) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .unit(shown.units)
        .min(0)
        .legend(
            looks.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(looks.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .draw_style(GraphDrawStyle.BARS if shown.kind == "bars" else GraphDrawStyle.LINE)
        .fill_opacity(0 if shown.kind == "lines" else 30)
    )
    if shown.kind in {"areas", "bars"}:
        panel.stacking(looks.StackingConfig().mode(StackingMode.NORMAL))
    return panel


if __name__ == "__main__":
    FILE.write_text(overview())
