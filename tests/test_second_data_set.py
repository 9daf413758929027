"""Another data set goes the same way once one notebook, the schema's, and one file, the environment's, are changed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer

ROOT = Path(__file__).parent.parent
FEATURES = ("mean radius", "mean texture", "worst concave points", "worst area")  # In hundredths, for codes are whole numbers
SCHEMA = """SCHEMA = (
    Column("radius", 0, 5000, "number"),
    Column("texture", 0, 8000, "number"),
    Column("concave_points", 0, 100, "number"),
    Column("area", 0, 1000000, "number"),
    Column("malignant", 0, 1, "nominal", ("no", "yes")),
)
TARGET = "malignant"
"""
FAULTS = 'FAULTS = (Fault("radius", 1 / 2, times=10), Fault("texture", 1 / 2, becomes=float("nan")))'
STORY = """
import json

import boto3

from mammo_mlops import data_split, inference_monitor, registry, storage, train_pipeline
from mammo_mlops.environment import load_environment
from mammo_mlops.pipelines.deploy import deploy_pipeline
from mammo_mlops.pipelines.executions import follow_execution
from mammo_mlops.monitoring.outputs import read_inference_outputs

env, quiet = load_environment("dev"), lambda line: None
session = env.session()
storage.write_objects(env, session, data_split.dataset_objects(env, data_split.split_data(data_split.find_raw_data().frame, 7)))
deploy_pipeline(env, session, "train")
trained = follow_execution(session, train_pipeline.start_training(env, session, {}), quiet)
version = registry.describe_version(session.client("sagemaker"), train_pipeline.registered_arn(session, trained))
registry.decide(boto3.Session(profile_name="approver"), version, "Approved", "AUC above the gate")
deploy_pipeline(env, session, "inference")
found = {"auc": float(version.metadata["auc"])}
for kind in ("clean", "outliers"):
    execution = inference_monitor.test_batch(env, session, kind, quiet)
    outputs = read_inference_outputs(env, session, execution)
    found[kind] = [execution.status, len(outputs.predictions), sorted({violation["feature_name"] for violation in outputs.violations})]
print(json.dumps(found))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with the schema's notebook and dev's environment file changed, and exported."""
    folder = tmp_path / "project"
    for name in ("nbs", "mammo_mlops", "environments", "terraform", "settings.ini", "setup.py", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform*"))
        else:
            shutil.copy2(ROOT / name, folder / name)
    path = folder / "nbs" / "steps" / "00_schema.ipynb"
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if "SCHEMA = (" in text:
            start, end = text.index("SCHEMA = ("), text.index("COLUMNS = ")
            cell["source"] = (text[:start] + SCHEMA + text[end:]).splitlines(keepends=True)
        elif "FAULTS = (" in text:
            cell["source"] = (text[: text.index("FAULTS = (")] + FAULTS).splitlines(keepends=True)
    path.write_text(json.dumps(notebook))
    file = folder / "environments" / "dev.tfvars.json"
    values = json.loads(file.read_text())
    values["train_pipeline"] |= {"auc_score_threshold": 0.9, "hyperparameters": {**values["train_pipeline"]["hyperparameters"], "num_round": 30}}
    values["batch_dataset_filename"] = "cells-batch.csv"
    file.write_text(json.dumps(values))
    subprocess.run([Path(sys.executable).with_name("nbdev_export")], cwd=folder, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(folder)})
    return folder


def changed(project: Path) -> set[str]:
    """Notebooks and environment files that differ from the project's."""
    files = [path.relative_to(project) for part in ("nbs", "environments", "terraform") for path in (project / part).rglob("*") if path.is_file()]
    return {str(path) for path in files if (project / path).read_bytes() != (ROOT / path).read_bytes()}


def test_it_trains_is_registered_predicts_and_drifts(project, own_sandbox, tmp_path):
    cells = load_breast_cancer(as_frame=True)
    frame = (cells.data[list(FEATURES)] * 100).round().astype(int).assign(malignant=1 - cells.target)
    (tmp_path / "cells.csv").write_text(frame.to_csv(index=False, header=False))
    assert changed(project) == {"nbs/steps/00_schema.ipynb", "environments/dev.tfvars.json"}
    environ = {**own_sandbox.environ, "AWS_PROFILE": "dev", "PYTHONPATH": str(project), "MAMMO_RAW_DATA": str(tmp_path / "cells.csv")}
    done = subprocess.run([sys.executable, "-c", STORY], cwd=project, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["auc"] > 0.95
    assert found["clean"][0] == "Succeeded" and found["clean"][1] == round(0.05 * len(frame) + 0.5) and found["clean"][2] == []
    assert found["outliers"][:2] == ["Failed", 0] and found["outliers"][2] == ["radius", "texture"]
