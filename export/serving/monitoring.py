"""Prometheus, its alerts and a Grafana dashboard for TF Serving, which names its metrics `:tensorflow:serving:...`."""

from __future__ import annotations

import json
from string import Template
from typing import Any, NamedTuple

from export.serving.server_config import METRICS_PATH
from export.serving.settings import template

# The statuses that are the server's fault: INVALID_ARGUMENT and NOT_FOUND are the client's.
FAULTS = "UNAVAILABLE|INTERNAL|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|UNKNOWN|ABORTED|FAILED_PRECONDITION"

_OF_MODELS = '{model_name=~"$model"}'
_WIDTH, _HEIGHT, _ACROSS = 12, 8, 2


class _Panel(NamedTuple):
    """A panel of the dashboard.

    Attributes:
        title: of the panel.
        unit: Grafana's name of it.
        queries: PromQL by legend.
    """

    title: str
    unit: str
    queries: dict[str, str]


def _quantile(of: float, metric: str, by: str = "model_name", where: str = _OF_MODELS) -> str:
    kept = f"le, {by}" if by else "le"
    return f"histogram_quantile({of}, sum by ({kept}) (rate({metric}_bucket{where}[$__rate_interval])))"


def _average(metric: str) -> str:
    return f"sum(rate({metric}_sum[$__rate_interval])) / sum(rate({metric}_count[$__rate_interval]))"


_REQUESTS = f":tensorflow:serving:request_count{_OF_MODELS}"
_BATCHING = ":tensorflow:serving:batching_session"
PANELS = (
    _Panel(
        "Requests",
        "reqps",
        {"{{model_name}} {{status}}": f"sum by (model_name, status) (rate({_REQUESTS}[$__rate_interval]))"},
    ),
    _Panel(
        "Requests that fail",
        "percentunit",
        {
            "{{model_name}} server": f"sum by (model_name) (rate("
            f':tensorflow:serving:request_count{{model_name=~"$model", status=~"{FAULTS}"}}[$__rate_interval]))'
            f" / sum by (model_name) (rate({_REQUESTS}[$__rate_interval]))",
            "{{model_name}} client": f"sum by (model_name) (rate("
            f':tensorflow:serving:request_count{{model_name=~"$model", status=~"INVALID_ARGUMENT|NOT_FOUND"}}'
            f"[$__rate_interval])) / sum by (model_name) (rate({_REQUESTS}[$__rate_interval]))",
        },
    ),
    _Panel(
        "Time of a request",
        "µs",
        {
            f"{{{{model_name}}}} p{100 * of:g}": _quantile(of, ":tensorflow:serving:request_latency")
            for of in (0.5, 0.95, 0.99)
        },
    ),
    _Panel(
        "Time in the model",
        "µs",
        {
            f"{{{{model_name}}}} p{100 * of:g}": _quantile(of, ":tensorflow:serving:runtime_latency")
            for of in (0.5, 0.99)
        },
    ),
    _Panel("Wait for a batch", "µs", {"p99": _quantile(0.99, f"{_BATCHING}:queuing_latency", by="", where="")}),
    _Panel(
        "Rows of a batch",
        "short",
        {
            "with filling": _average(f"{_BATCHING}:processed_batch_size"),
            "of a request": _average(f"{_BATCHING}:input_batch_size"),
        },
    ),
    _Panel(
        "Versions that loaded, and that did not",
        "short",
        {
            "{{model_path}} {{status}}": "sum by (model_path, status) "
            "(increase(:tensorflow:cc:saved_model:load_attempt_count[$__rate_interval]))"
        },
    ),
    _Panel("Servers", "short", {"up": 'sum(up{job="tf-serving"})'}),
)


def files() -> dict[str, str]:
    """Returns the files of the folder `monitoring`, by path."""
    prometheus = Template(template("tf_serving/prometheus.yml")).substitute(metrics=METRICS_PATH)
    alerts = Template(template("tf_serving/alerts.yml")).substitute(faults=FAULTS)
    return {
        "prometheus.yml": prometheus,
        "alerts.yml": alerts,
        "grafana/provisioning/datasources/prometheus.yaml": template("tf_serving/datasource.yaml"),
        "grafana/provisioning/dashboards/tfwd.yaml": template("tf_serving/dashboards.yaml"),
        "grafana/dashboards/tf-serving.json": json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n",
    }


def dashboard() -> dict[str, Any]:
    """Returns the dashboard in Grafana's form."""
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
        "uid": "tfwd-tf-serving",
        "title": "TF Serving",
        "tags": ["tfwd"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [models]},
        "panels": [_panel(place, panel, source) for place, panel in enumerate(PANELS)],
    }


def _panel(place: int, panel: _Panel, source: dict[str, str]) -> dict[str, Any]:
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
