"""contrib/prometheus and contrib/grafana: sound, and about metrics that there are."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from lib.admin import Admin
from lib.env import ROOT

PROMETHEUS = ROOT / "contrib" / "prometheus"
DASHBOARD = ROOT / "contrib" / "grafana" / "sluice.json"
METRIC = re.compile(r"\bsluice_[a-z0-9_]+\b")
SELECTOR = re.compile(r"\b(sluice_[a-z0-9_]+)\{([^}]*)\}")


def rules():
    text = (PROMETHEUS / "sluice.rules.yml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def dashboard():
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def dashboard_queries():
    found = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    found += [one["definition"] for one in dashboard()["templating"]["list"] if one["type"] == "query"]
    return found + [one["expr"] for one in dashboard()["annotations"]["list"]]


@pytest.fixture(scope="module")
def metrics(start_shared):
    gateway = start_shared(
        """
        listen: {address: 127.0.0.1:0}
        admin: {address: 127.0.0.1:0}
        routes: {target: "tcp://127.0.0.1:9"}
        """
    )
    return Admin(gateway.ready["admin"]).metrics()


def test_every_query_is_of_a_metric_that_there_is(metrics):
    labels = {}
    for name, *pairs in metrics.series:
        labels.setdefault(name, set()).update(key for key, _ in pairs)
    queries = dashboard_queries() + [rule["expr"] for rule in rules()]
    assert len(queries) > 30
    for query in queries:
        names = set(METRIC.findall(query))
        assert names <= set(labels) or not names, f"{query}: {names - set(labels)}"
        assert names or query.startswith("up{"), query
        for name, selector in SELECTOR.findall(query):
            for label in re.findall(r"(\w+)=", selector):
                assert label in labels[name] | {"instance", "job"}, query
    causes = {dict(pairs)["cause"] for name, *pairs in metrics.series if name == "sluice_sessions_total"}
    for rule in rules():
        for pattern in re.findall(r'cause=~"([^"]+)"', rule["expr"]):
            matched = {cause for cause in causes if re.fullmatch(pattern, cause)}
            assert len(matched) == pattern.count("|") + 1, f"{pattern} is of {matched}"


def test_every_metric_is_on_the_dashboard(metrics):
    shown = {re.sub("_(bucket|sum|count)$", "", name) for query in dashboard_queries() for name in METRIC.findall(query)}
    assert shown == set(metrics.types)


def test_the_dashboard_is_whole():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_is_tested():
    tests = yaml.safe_load((PROMETHEUS / "sluice.rules.test.yml").read_text(encoding="utf-8"))["tests"]
    alerts = {rule["alert"] for rule in rules()}
    assert {one["alertname"] for one in tests[0]["alert_rule_test"]} == alerts
    text = json.dumps(tests[1]["promql_expr_test"])
    assert set(re.findall(r'alertname=\\"(\w+)\\"', text)) == alerts


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "sluice.rules.yml"],
        ["test", "rules", "sluice.rules.test.yml"],
    ],
    ids=" ".join,
)
def test_promtool(command):
    result = subprocess.run(["promtool", *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
