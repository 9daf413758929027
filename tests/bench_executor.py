"""What a step costs here, and what the same script costs as a plain subprocess: medians and ratios.

The executor's own cost of a step is all that is not the script: resolving, the job's folder, inputs, process, logs, outputs,
events. A script that does nothing shows it alone. `python tests/bench_executor.py [repeats]`
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from mammo_mlops.sandbox.containers import xgboost_algorithm
from mammo_mlops.sandbox.containers.container import has_mounts, training_files
from mammo_mlops.sandbox.execution.executions_api import start_pipeline_execution
from mammo_mlops.sandbox.execution.executor import Executor
from mammo_mlops.sandbox.execution.model_registry import ModelRegistry
from mammo_mlops.sandbox.execution.pipelines_api import create_pipeline
from mammo_mlops.sandbox.state.policy import Principal
from mammo_mlops.sandbox.state.store import Store

ACCOUNT = "111122223333"
ROOT = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
SCRIPTS = {
    "nothing": "",
    "pandas": "import pandas as pd\npd.DataFrame({'a': range(1000)}).describe()",
    "scikit-learn": "import numpy as np\nfrom sklearn.linear_model import LogisticRegression\nx = np.random.default_rng(7).normal(size=(800, 5))\nLogisticRegression().fit(x, x[:, 0] > 0)",
}
HYPERPARAMETERS = {"num_round": "50", "objective": "binary:logistic", "eval_metric": "auc", "max_depth": "5", "eta": "0.2"}


def rows() -> str:
    """800 labelled rows."""
    return "\n".join(f"{i % 2},{i % 2 + i % 13 / 10},{i % 7},{i % 5},{i % 3}" for i in range(800))


def account(store: Store) -> str:
    """A bucket with training rows and a role; the role's ARN."""
    trust = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
    iam = iam_backends[ACCOUNT]["aws"]
    arn = iam.create_role("bench", trust, "/", None, "", [], "3600").arn
    iam.put_role_policy("bench", "rights", json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", "sagemaker:*", "iam:PassRole"], "Resource": "*"}]}))
    s3_backends[ACCOUNT]["aws"].create_bucket("bench", "us-east-1")
    store.write(ROOT, "s3://bench/train/part.csv", rows().encode())
    return arn


def processing(role_arn: str, script: str) -> dict:
    """A processing step that runs the script, with one input and one output."""
    return {"Name": "Step", "Type": "Processing", "Arguments": {
        "AppSpecification": {"ImageUri": "sagemaker-scikit-learn:1.4-2-cpu-py3", "ContainerEntrypoint": ["python3", "-c", script]},
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}},
        "ProcessingInputs": [{"InputName": "in", "S3Input": {"S3Uri": "s3://bench/train", "LocalPath": "/opt/ml/processing/in", "S3DataType": "S3Prefix"}}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": {"S3Uri": "s3://bench/out", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}}]},
        "RoleArn": role_arn,
    }}


def training(role_arn: str) -> dict:
    """A training step by the XGBoost algorithm."""
    channel = {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bench/train"}}}
    return {"Name": "Step", "Type": "Training", "Arguments": {
        "AlgorithmSpecification": {"TrainingImage": "sagemaker-xgboost:3.2-0", "TrainingInputMode": "File"},
        "HyperParameters": HYPERPARAMETERS,
        "InputDataConfig": [channel],
        "OutputDataConfig": {"S3OutputPath": "s3://bench/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "RoleArn": role_arn,
    }}


def condition() -> dict:
    """A condition step."""
    return {"Name": "Step", "Type": "Condition", "Arguments": {"Conditions": [{"Type": "LessThan", "LeftValue": 1, "RightValue": 2}], "IfSteps": [], "ElseSteps": []}}


def executed(executor: Executor, role_arn: str, name: str, step: dict, repeats: int) -> float:
    """Median seconds from StartPipelineExecution to the end of an execution of this one step."""
    text = json.dumps({"Version": "2020-12-01", "Steps": [step]})
    create_pipeline(executor, ROOT, {"PipelineName": name, "RoleArn": role_arn, "PipelineDefinition": text, "ClientRequestToken": name.ljust(40, "-")})
    return median(_execute(executor, name, number) for number in range(repeats))


def _execute(executor: Executor, name: str, number: int) -> float:
    started = time.perf_counter()
    request = {"PipelineName": name, "ClientRequestToken": f"{name}-{number}".ljust(40, "-")}
    execution = executor.executions[start_pipeline_execution(executor, ROOT, request)["PipelineExecutionArn"]]
    with execution.changed:
        execution.changed.wait_for(lambda: execution.status != "Executing")
    if execution.status != "Succeeded":
        raise RuntimeError(f"{name}: {[record.failure for record in execution.steps.values()]}")
    return time.perf_counter() - started


def plain(command: list[str], repeats: int, **env: str) -> float:
    """Median seconds of a plain subprocess."""
    def once() -> float:
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **env})
        return time.perf_counter() - started

    return median(once() for _ in range(repeats))


def plain_training(folder: Path, repeats: int) -> float:
    """Median seconds of the XGBoost program alone."""
    channel = {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {}}}
    training_files(folder, {"HyperParameters": HYPERPARAMETERS, "InputDataConfig": [channel], "ResourceConfig": {"InstanceType": "ml.m5.large"}})
    (folder / "input/data/train/part.csv").write_text(rows())
    return plain([sys.executable, xgboost_algorithm.__file__, "3.2-0"], repeats, SAGEMAKER_BASE_DIR=str(folder))


def bench(repeats: int = 10) -> dict[str, dict[str, float]]:
    """Seconds by kind of step: executor, subprocess, and their ratio."""
    store, figures = Store(), {}
    with tempfile.TemporaryDirectory() as folder:
        role_arn = account(store)
        executor = Executor(store, ModelRegistry(store), Path(folder, "work"), "http://127.0.0.1:1")
        try:
            has_mounts(executor.jobs.launcher)
            _execute_first(executor, role_arn)
            figures["condition"] = {"executor": executed(executor, role_arn, "condition", condition(), repeats)}
            for name, script in SCRIPTS.items():
                figures[name] = {"executor": executed(executor, role_arn, f"run-{name}", processing(role_arn, script), repeats), "subprocess": plain([sys.executable, "-c", script], 3)}
            figures["xgboost"] = {"executor": executed(executor, role_arn, "run-xgboost", training(role_arn), repeats), "subprocess": plain_training(Path(folder, "plain"), 3)}
        finally:
            executor.close()
    return figures


def _execute_first(executor: Executor, role_arn: str) -> None:
    executed(executor, role_arn, "first", processing(role_arn, ""), 1)  # images' libraries are listed once


def show(figures: dict[str, dict[str, float]]) -> None:
    """Print one line a kind."""
    print(f"{'step':<14}{'executor':>10}{'subprocess':>12}{'ratio':>8}")
    for name, seconds in figures.items():
        alone = seconds.get("subprocess")
        print(f"{name:<14}{seconds['executor']:>8.3f} s" + (f"{alone:>10.3f} s{seconds['executor'] / alone:>8.2f}" if alone else ""))
    print(f"the executor's own cost of a step: {figures['nothing']['executor']:.3f} s (at most 0.15 s is the aim)")


if __name__ == "__main__":
    show(bench(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
