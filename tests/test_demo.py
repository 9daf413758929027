"""What `make demo` leaves behind."""

import json
import re
import subprocess
import sys
from pathlib import Path

from mammo_mlops.pipelines.code import git_commit

ROOT = Path(__file__).parent.parent


def told() -> Path:
    """The report of this very commit's demo, as `make demo` left it; told now where there is none."""
    commit = git_commit()
    if reports := sorted((ROOT / "reports" / "demo").glob(f"*-{commit}")) if "dirty" not in commit else []:
        return reports[-1]
    done = subprocess.run([Path(sys.executable).parent / "mammo-mlops", "demo"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(re.search(r"(?m)^Report: (.+)/index.html$", done.stdout)[1])


def test_the_demo_tells_the_whole_story_and_leaves_no_process():
    report = told()
    found = json.loads((report / "summary.json").read_text())
    assert found["ok"] and set(found["accounts"]) == {"dev", "prod", "registry"}
    assert "not authorized to perform: sagemaker:UpdateModelPackage" in (report / "index.html").read_text()
    assert [(v["version"], v["approval_status"], v["trained_in"]) for v in found["model_versions"]] == [(2, "Approved", "prod"), (1, "Approved", "dev")]
    assert all("/model-approver-role/" in version["approved_by"] for version in found["model_versions"])
    assert found["predictions"]["version"] == 2 and found["predictions"]["rows"] >= 40
    assert {record["feature"] for record in found["drift"]} >= {"age", "density"}
    (training,) = found["trainings_started_by"]
    assert training["decision"] == "train" and ":assumed-role/" in training["started_by"] and "events" in training["started_by"].lower()
    runs = [e["status"] for e in found["executions"] if e["account"] == found["accounts"]["prod"] and "inference" in e["pipeline"]]
    assert sorted(runs) == ["Failed", "Succeeded", "Succeeded"]
    assert found["terraform"]["second_apply_changes"] == 0 and found["terraform"]["destroyed"] == found["terraform"]["added"] > 20
    subjects = [mail["subject"] for mail in found["mails"]]
    assert sum("drifted" in subject for subject in subjects) == 1 and sum("approval" in subject for subject in subjects) == 1
    assert all((ROOT / "reports" / path).is_file() for path in found["reports"])
    assert not list((ROOT / ".sandbox").glob("demo-*/server.json"))
