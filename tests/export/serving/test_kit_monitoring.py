"""Prometheus, alerts and dashboards of the kits: against promtool, and against what the servers count."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any

import kit_validators as check
import pytest
import yaml

from export.serving import monitoring
from export.serving.monitoring import TF_SERVING, TFWD_SERVE, Server
from export.serving.server_config import monitoring_config
from export.serving.settings import template
from tfwd.server.metrics import HELP

SERVERS = (TF_SERVING, TFWD_SERVE)
BOTH = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.job)


def board(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(monitoring.files(server)[f"grafana/dashboards/{server.job}.json"])
    return found


@BOTH
def test_prometheus_takes_its_files(server: Server) -> None:
    """The form here; what the expressions mean is for promtool."""
    files = monitoring.files(server)
    main, alerts = (yaml.safe_load(files[name]) for name in ("prometheus.yml", "alerts.yml"))
    (job,) = main["scrape_configs"]
    assert job["job_name"] == server.job
    assert job["static_configs"] == [{"targets": [f"{server.job}:8501"]}]
    assert main["rule_files"] == ["alerts.yml"]
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 5
    assert all({"alert", "expr", "labels", "annotations"} <= set(rule) for rule in rules)
    panels = board(server)["panels"]
    assert len({panel["id"] for panel in panels}) == len(server.panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)


def test_prometheus_asks_where_the_server_counts() -> None:
    assert f'"{TF_SERVING.metrics}"' in monitoring_config()
    assert f"metrics_path: {TFWD_SERVE.metrics}\n" in monitoring.files(TFWD_SERVE)["prometheus.yml"]


def test_tfwd_serve_counts_what_its_dashboard_and_alerts_read() -> None:
    alerts = yaml.safe_load(monitoring.files(TFWD_SERVE)["alerts.yml"])["groups"][0]["rules"]
    read = " ".join([*check.queries(board(TFWD_SERVE)), *(rule["expr"] for rule in alerts)])
    names = set(re.findall(r":tensorflow:[\w:]+|tfwd_\w+", read))
    assert len(names) > 4
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in names} <= {
        name.removesuffix("_count") for name in HELP
    }


# Two servers, of which one fails and is slow: of its requests, 2 in 10 fail; all take 0.4 to 0.8 s.
SERIES = """
rule_files: [alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: up{job="JOB", instance="a"}
        values: 1x60
      - series: up{job="JOB", instance="b"}
        values: 0x60
      - series: :tensorflow:serving:request_count{model_name="good", status="OK"}
        values: 0+600x60
      - series: :tensorflow:serving:request_count{model_name="bad", status="OK"}
        values: 0+480x60
      - series: :tensorflow:serving:request_count{model_name="bad", status="INTERNAL"}
        values: 0+120x60
      - series: :tensorflow:serving:request_count{model_name="odd", status="OK"}
        values: 0+100x60
      - series: :tensorflow:serving:request_count{model_name="odd", status="INVALID_ARGUMENT"}
        values: 0+100x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="good", le="1000"}
        values: 0+600x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="good", le="+Inf"}
        values: 0+600x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="bad", le="400000"}
        values: 0x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="bad", le="800000"}
        values: 0+600x60
      - series: :tensorflow:serving:request_latency_bucket{model_name="bad", le="+Inf"}
        values: 0+600x60
OWN
    promql_expr_test:
      - expr: count by (alertname, model_name, model_path, instance, input) (ALERTS{alertstate="firing"})
        eval_time: 45m
        exp_samples:
          - {labels: '{alertname="PREFIXDown", instance="b"}', value: 1}
          - {labels: '{alertname="PREFIXFails", model_name="bad"}', value: 1}
          - {labels: '{alertname="PREFIXRequestsInvalid", model_name="odd"}', value: 1}
          - {labels: '{alertname="PREFIXSlow", model_name="bad"}', value: 1}
          - {labels: '{alertname="PREFIXALSO', value: 1}
"""
# The counter of a version is not there before its first attempt, and has 1 then.
OF_TF_SERVING = """
      - series: :tensorflow:cc:saved_model:load_attempt_count{model_path="/models/bad/2", status="fail"}
        values: _x39 1x20
      - series: :tensorflow:cc:saved_model:load_attempt_count{model_path="/models/good/2", status="success"}
        values: _x39 1x20
      - series: :tensorflow:cc:saved_model:load_attempt_count{model_path="/models/bad/1", status="fail"}
        values: 1x60
"""
# Of 100 rows a minute in two versions, 10 have a value of `sex` that training has not seen, and 2 one of `city`.
OF_TFWD_SERVE = """
      - series: tfwd_rows{model_name="odd", version="1"}
        values: 0+40x60
      - series: tfwd_rows{model_name="odd", version="2"}
        values: 0+60x60
      - series: tfwd_rows{model_name="good", version="1"}
        values: 0+600x60
      - series: tfwd_input_values{model_name="odd", input="sex", kind="unseen"}
        values: 0+10x60
      - series: tfwd_input_values{model_name="odd", input="city", kind="unseen"}
        values: 0+2x60
      - series: tfwd_input_values{model_name="odd", input="age", kind="out_of_range"}
        values: 0+90x60
      - series: tfwd_input_values{model_name="good", input="sex", kind="unseen"}
        values: 0+10x60
"""
ALSO = {
    TF_SERVING.job: (OF_TF_SERVING, """VersionDoesNotLoad", model_path="/models/bad/2"}"""),
    TFWD_SERVE.job: (OF_TFWD_SERVE, """UnseenValues", model_name="odd", input="sex"}"""),
}


def series(server: Server) -> str:
    own, also = ALSO[server.job]
    filled = SERIES.replace("JOB", server.job).replace("PREFIXALSO", server.prefix + also)
    return filled.replace("PREFIX", server.prefix).replace("OWN\n", own.strip("\n") + "\n")


def test_the_alerts_ring_for_what_they_say() -> None:
    tool = check.program("promtool")
    if tool is None:
        pytest.skip("promtool, of the package prometheus, is not on the PATH: the expressions are not tried")
    files = {
        f"{server.job}/{name}": text
        for server in SERVERS
        for name, text in {**monitoring.files(server), "series.yml": series(server)}.items()
    }
    mains, tests = ([f"{server.job}/{name}" for server in SERVERS] for name in ("prometheus.yml", "series.yml"))
    assert check.said([tool, "check", "config", *mains], *files.items()) is None
    spoilt = files[mains[0]].replace("scrape_configs", "scrapes")
    assert check.said([tool, "check", "config", mains[0]], *files.items(), (mains[0], spoilt)) is not None
    assert check.said([tool, "test", "rules", *tests], *files.items()) is None
    wrong = [
        ("tf-serving", "unless", "and"),
        ("tf-serving", "> 100000", "> 1000000"),
        ("tfwd-serve", "0.05 *", "0.2 *"),
    ]
    for job, old, new in wrong:
        rules = f"{job}/alerts.yml"
        assert old in files[rules]
        run = [tool, "test", "rules", f"{job}/series.yml"]
        assert check.said(run, *files.items(), (rules, files[rules].replace(old, new))) is not None
    panels = [query for server in SERVERS for query in check.queries(board(server))]
    run = [tool, "check", "rules", "panels.yml"]
    assert check.said(run, ("panels.yml", check.as_rules(panels))) is None
    assert check.said(run, ("panels.yml", check.as_rules([*panels, "sum by (le (x)"]))) is not None


def test_prometheus_takes_the_job_of_the_page() -> None:
    """With pods of Kubernetes, the job has the name that the alerts and the dashboard look for."""
    page = template("tf_serving/README.md").replace("$metrics", TF_SERVING.metrics)
    found = re.search(r"(?m)^    - job_name: .*\n(    .*\n)+", page)
    assert found is not None
    (job,) = yaml.safe_load(textwrap.dedent(found[0]))
    assert job["job_name"] == TF_SERVING.job
    tool = check.program("promtool")
    if tool is None:
        pytest.skip("promtool, of the package prometheus, is not on the PATH")
    run = [tool, "check", "config", "main.yml"]
    # Debian's promtool knows nothing of Kubernetes.
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    job["static_configs"] = [{"targets": ["pod:8501"]}]
    assert check.said(run, ("main.yml", yaml.safe_dump({"scrape_configs": [job]}))) is None
    job["relabel_configs"][0]["action"] = "keeps"
    assert check.said(run, ("main.yml", yaml.safe_dump({"scrape_configs": [job]}))) is not None
