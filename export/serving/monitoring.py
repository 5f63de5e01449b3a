"""Prometheus, its alerts and a Grafana dashboard, for TF Serving and for `tfwd serve`.

Both name what they have in common `:tensorflow:serving:...`; each has a choice of panels and alerts of its own besides.
"""

from __future__ import annotations

import json
from string import Template
from typing import Any, NamedTuple

from export.serving.settings import template

_OF_MODELS = '{model_name=~"$model"}'
_WIDTH, _HEIGHT, _ACROSS = 12, 8, 2


class Panel(NamedTuple):
    """A panel of the dashboard.

    Attributes:
        title: of the panel.
        unit: Grafana's name of it.
        queries: PromQL by legend.
    """

    title: str
    unit: str
    queries: dict[str, str]


class Server(NamedTuple):
    """A server that is watched.

    Attributes:
        job: its name in Prometheus, and that of its service in Compose.
        title: what people call it.
        prefix: of the names of its alerts.
        metrics: the path at its port 8501.
        faults: the statuses that are the server's fault.
        refused: those of requests that are not what a model takes.
        client: those that are a client's fault in another way.
        panels: of the dashboard.
        alerts: the template of the alerts that only this server has.
    """

    job: str
    title: str
    prefix: str
    metrics: str
    faults: str
    refused: str
    client: str
    panels: tuple[Panel, ...]
    alerts: str


def _quantile(of: float, metric: str, by: str = "model_name", where: str = _OF_MODELS) -> str:
    kept = f"le, {by}" if by else "le"
    return f"histogram_quantile({of}, sum by ({kept}) (rate({metric}_bucket{where}[$__rate_interval])))"


def _average(metric: str) -> str:
    return f"sum(rate({metric}_sum[$__rate_interval])) / sum(rate({metric}_count[$__rate_interval]))"


def _quantiles(metric: str, *of: float) -> dict[str, str]:
    return {f"{{{{model_name}}}} p{100 * each:g}": _quantile(each, metric) for each in of}


def _share(statuses: str) -> str:
    some = f':tensorflow:serving:request_count{{model_name=~"$model", status=~"{statuses}"}}'
    part, whole = (f"sum by (model_name) (rate({counter}[$__rate_interval]))" for counter in (some, _REQUESTS))
    return f"{part} / {whole}"


_REQUESTS = f":tensorflow:serving:request_count{_OF_MODELS}"
_BATCHING = ":tensorflow:serving:batching_session"


def _requests(faults: str, client: str) -> tuple[Panel, ...]:
    """Returns the panels that all servers have first."""
    return (
        Panel(
            "Requests",
            "reqps",
            {"{{model_name}} {{status}}": f"sum by (model_name, status) (rate({_REQUESTS}[$__rate_interval]))"},
        ),
        Panel(
            "Requests that fail",
            "percentunit",
            {"{{model_name}} server": _share(faults), "{{model_name}} client": _share(client)},
        ),
        Panel("Time of a request", "µs", _quantiles(":tensorflow:serving:request_latency", 0.5, 0.95, 0.99)),
        Panel("Wait for a batch", "µs", {"p99": _quantile(0.99, f"{_BATCHING}:queuing_latency", by="", where="")}),
    )


_TF_FAULTS = "UNAVAILABLE|INTERNAL|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|UNKNOWN|ABORTED|FAILED_PRECONDITION"
_TF_CLIENT = "INVALID_ARGUMENT|NOT_FOUND"
TF_SERVING = Server(
    job="tf-serving",
    title="TF Serving",
    prefix="TFServing",
    metrics="/monitoring/prometheus/metrics",
    faults=_TF_FAULTS,
    refused="INVALID_ARGUMENT",
    client=_TF_CLIENT,
    panels=(
        *_requests(_TF_FAULTS, _TF_CLIENT),
        Panel("Time in the model", "µs", _quantiles(":tensorflow:serving:runtime_latency", 0.5, 0.99)),
        Panel(
            "Rows of a batch",
            "short",
            {
                "with filling": _average(f"{_BATCHING}:processed_batch_size"),
                "of a request": _average(f"{_BATCHING}:input_batch_size"),
            },
        ),
        Panel(
            "Versions that loaded, and that did not",
            "short",
            # The counter itself: that of a new version begins with 1, of which no increase is left.
            {
                "{{model_path}} {{status}}": "sum by (model_path, status) "
                "(:tensorflow:cc:saved_model:load_attempt_count)"
            },
        ),
        Panel("Servers", "short", {"up": 'sum(up{job="tf-serving"})'}),
    ),
    alerts="tf_serving/alerts.yml",
)

_FAULTS = "UNAVAILABLE|INTERNAL|DEADLINE_EXCEEDED"
# The rest are HTTP's own, as 405, for which gRPC has no word.
_CLIENT = "INVALID_ARGUMENT|NOT_FOUND|OUT_OF_RANGE|UNAUTHENTICATED|UNKNOWN"
_ROWS = f"sum by (model_name) (rate(tfwd_rows{_OF_MODELS}[$__rate_interval]))"
TFWD_SERVE = Server(
    job="tfwd-serve",
    title="tfwd serve",
    prefix="TfwdServe",
    metrics="/metrics",
    faults=_FAULTS,
    refused="INVALID_ARGUMENT|OUT_OF_RANGE",
    client=_CLIENT,
    panels=(
        *_requests(_FAULTS, _CLIENT),
        Panel(
            "Rows",
            "short",
            {
                "{{model_name}} {{version}}": f"sum by (model_name, version) "
                f"(rate(tfwd_rows{_OF_MODELS}[$__rate_interval]))"
            },
        ),
        Panel(
            "Rows of a call of the model",
            "short",
            {"{{model_name}}": f"{_ROWS} / sum by (model_name) (rate(tfwd_batches{_OF_MODELS}[$__rate_interval]))"},
        ),
        Panel(
            "Values a row that are unusual",
            "percentunit",
            {
                "{{model_name}} {{input}} {{kind}}": "sum by (model_name, input, kind) "
                f"(rate(tfwd_input_values{_OF_MODELS}[$__rate_interval])) / on (model_name) group_left {_ROWS}"
            },
        ),
        Panel("Servers", "short", {"up": 'sum(up{job="tfwd-serve"})'}),
    ),
    alerts="docker/alerts.yml",
)


def files(server: Server) -> dict[str, str]:
    """Returns the files of the folder `monitoring` for a server, by path."""
    values = {**server._asdict(), "own": template(server.alerts).rstrip()}
    grafana = "grafana/provisioning"
    return {
        **{
            file: Template(template(f"monitoring/{file}")).substitute(values)
            for file in ("prometheus.yml", "alerts.yml")
        },
        f"{grafana}/datasources/prometheus.yaml": template("monitoring/datasource.yaml"),
        f"{grafana}/dashboards/tfwd.yaml": template("monitoring/dashboards.yaml"),
        f"grafana/dashboards/{server.job}.json": json.dumps(dashboard(server), indent=1, ensure_ascii=False) + "\n",
    }


def dashboard(server: Server) -> dict[str, Any]:
    """Returns the dashboard of a server in Grafana's form."""
    source = {"type": "prometheus", "uid": "prometheus"}
    models = {
        "name": "model",
        "label": "Model",
        "type": "query",
        "datasource": source,
        "query": {"query": "label_values(:tensorflow:serving:request_count, model_name)", "refId": "model"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    return {
        "uid": f"tfwd-{server.job}",
        "title": server.title,
        "tags": ["tfwd"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [models]},
        "panels": [_panel(place, panel, source) for place, panel in enumerate(server.panels)],
    }


def _panel(place: int, panel: Panel, source: dict[str, str]) -> dict[str, Any]:
    row, column = divmod(place, _ACROSS)
    return {
        "id": place + 1,
        "title": panel.title,
        "type": "timeseries",
        "datasource": source,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": source, "expr": query, "legendFormat": legend}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }
