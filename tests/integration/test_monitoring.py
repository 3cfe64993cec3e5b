"""contrib/prometheus and contrib/grafana: sound, and about metrics that there are."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from lib.env import ROOT

PROMETHEUS = ROOT / "contrib" / "prometheus"
DASHBOARD = ROOT / "contrib" / "grafana" / "sluice.json"


def rules():
    text = (PROMETHEUS / "sluice.rules.yml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def dashboard():
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


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
