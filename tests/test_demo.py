"""What `make demo` leaves behind."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_demo_ends_with_an_approved_version_and_leaves_no_process():
    command = [Path(sys.executable).parent / "mammo-mlops", "demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((ROOT / "reports" / "latest" / "summary.json").read_text())
    assert found["ok"] and set(found["accounts"]) == {"dev", "prod", "registry"}
    assert [version["approval_status"] for version in found["model_versions"]] == ["Approved"]
    assert "/model-approver-role/" in found["model_versions"][0]["approved_by"]
    assert [(execution["status"], len(execution["steps"])) for execution in found["executions"]] == [("Succeeded", 6)]
    assert all((ROOT / "reports" / path).is_file() for path in found["reports"])
    assert "not authorized to perform: sagemaker:UpdateModelPackage" in done.stdout
    assert not list((ROOT / ".sandbox").glob("demo-*/server.json"))
