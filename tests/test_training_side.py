"""The training side from end to end, as its users call it: data scientist, Jenkins, approver."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from mammo_mlops.pipelines.executions import follow_execution, start_execution

ROOT = Path(__file__).parent.parent
CLI = Path(sys.executable).parent / "mammo-mlops"
RUN_PIPELINE = CLI.with_name("run-pipeline")


@pytest.fixture(scope="module")
def call(sandbox):
    """Call a command as a profile of the sandbox, and answer (exit code, output)."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

    def run(command: Path, *arguments: str, profile: str = "dev") -> tuple[int, str]:
        variables = {**environ, **sandbox.environ, "AWS_PROFILE": profile}
        done = subprocess.run([command, *arguments], env=variables, cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def trained(call):
    """The group made by the registry, then one run of dev's notebooks: (output, folder of the report)."""
    code, output = call(CLI, "run", "--environment", "registry", profile="registry")
    assert code == 0, output
    code, output = call(CLI, "run", "--environment", "dev")
    assert code == 0, output
    return output, Path(re.search(r"Report: (.+)/index.html", output)[1])


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_a_run_trains_registers_and_reports(trained):
    output, folder = trained
    found = summary(folder)
    assert found["ok"] and found["data"]["rows"] >= 830 and len(found["data"]["sha256"]) == 64
    assert [step["name"] for step in found["executions"][0]["steps"]] == [
        "RetrainGuard", "MayTrain", "Preprocess", "Train", "Evaluate", "CheckAuc", "DataQualityBaseline", "TuneConstraints", "RegisterModel",
    ]
    version = found["model_versions"][0]
    assert version["approval_status"] == "PendingManualApproval" and version["trained_in"] == "dev"
    assert version["auc_interval"][0] < version["auc"] < version["auc_interval"][1]
    assert version["git_commit"] != "unknown" and len(version["data_sha256"]) == 64


def test_every_notebook_has_its_page_without_library_code_and_without_rows_of_patients(trained):
    _, folder = trained
    pages = {path.stem: path.read_text() for path in folder.glob("*.html")}
    assert set(pages) == {"index", "10_data_split", "20_preprocessing", "30_train_pipeline", "40_registry", "50_inference_monitor"}
    assert all("#| export" not in page and "AWS_SECRET" not in page for page in pages.values())
    assert all(page.count("data:image/png") >= 1 for name, page in pages.items() if name not in ("index", "50_inference_monitor"))  # which dev deploys only
    assert "waits for approval" in pages["index"]


def test_dev_may_not_approve_and_the_approver_may(call, trained):
    version = str(summary(trained[1])["model_versions"][0]["version"])
    code, output = call(CLI, "approve", "--version", version, "--reason", "I like it", profile="dev")
    assert code == 1 and "AccessDenied" in output and "Traceback" not in output
    code, output = call(CLI, "approve", "--version", version, profile="approver")
    assert code == 2 and "--reason" in output
    code, output = call(CLI, "approve", "--reason", "AUC above the gate", profile="approver")
    assert code == 2 and "--version" in output
    code, output = call(CLI, "approve", "--version", version, "--reason", "AUC above the gate", profile="approver")
    assert code == 0 and f"Version {version} is Approved, decided by arn:aws:sts::" in output and "/approver." in output
    code, output = call(CLI, "approve", "--version", "99", "--reason", "none", profile="approver")
    assert code == 1 and "expected version 99" in output


def test_nobody_approves_by_the_back_door(call, trained, sandbox):
    code, output = call(RUN_PIPELINE, "--environment", "dev", "-p", "ModelApprovalStatus=Approved")
    assert code == 1 and "expected one of ['PendingManualApproval', 'Rejected']" in output
    registry = sandbox.environments.registry
    dev = sandbox.environments.dev
    steps = [{"Name": "Register", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": dev.model_package_group_arn, "ModelApprovalStatus": "Approved"}}]
    sandbox.client("sagemaker").create_pipeline(PipelineName="back-door", RoleArn=dev.train_pipeline.role_arn, PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": steps}))
    execution = follow_execution(sandbox.session(), start_execution(sandbox.session(), "back-door"), lambda line: None)
    assert execution.status == "Failed" and "not authorized to perform: sagemaker:CreateModelPackage" in execution.steps[0].reason
    role = f"arn:aws:iam::{registry.account_id}:role/{registry.jenkins_role}"
    key = sandbox.client("sts", "jenkins").assume_role(RoleArn=role, RoleSessionName="back-door")["Credentials"]
    credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"], "aws_session_token": key["SessionToken"]}
    jenkins = boto3.client("sagemaker", registry.aws_region, endpoint_url=sandbox.client("sagemaker").meta.endpoint_url, **credentials)
    version = f"{dev.model_package_group_arn.replace('model-package-group/', 'model-package/')}/1"
    with pytest.raises(ClientError, match="AccessDenied"):
        jenkins.put_model_package_group_policy(ModelPackageGroupName=registry.model_package_group_name, ResourcePolicy="{}")
    with pytest.raises(ClientError, match="AccessDenied"):
        jenkins.update_model_package(ModelPackageArn=version, ModelApprovalStatus="Approved")


def test_a_run_reports_only_the_executions_it_started(call, trained):
    code, output = call(CLI, "run", "--environment", "dev", "--only", "10")
    assert code == 0 and summary(Path(re.search(r"Report: (.+)/index.html", output)[1]))["executions"] == []


def test_jenkins_runs_prod_and_looks_at_the_registry(call, trained):
    for environment in ("prod", "registry"):
        code, output = call(CLI, "run", "--environment", environment, "--only", "40", profile="jenkins")
        assert code == 0, output


FULL_DATA = ROOT.parent / "shared" / "data" / "mammographic_masses.data"


@pytest.mark.skipif(not FULL_DATA.is_file(), reason="the full UCI data is not beside the project")
def test_the_features_and_hyperparameters_hold_on_the_full_data():
    """The chapter asserts a cross-validated AUC of 0.90 on whatever data it finds."""
    done = subprocess.run(
        [CLI.with_name("nbdev_test"), "--path", ROOT / "nbs" / "20_preprocessing.ipynb"],
        env={**os.environ, "MAMMO_RAW_DATA": str(FULL_DATA)}, cwd=ROOT, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_version_below_the_gate_fails_the_run_and_the_report_shows_it(call, trained):
    before = len(summary(trained[1])["model_versions"])
    code, output = call(CLI, "run", "--environment", "dev", "--only", "30", "-p", "auc_score_threshold=0.9999")
    folder = Path(re.search(r"Report: (.+)/index.html", output)[1])
    found = summary(folder)
    assert code == 1 and not found["ok"] and len(found["model_versions"]) == before
    assert "is not above the threshold 0.9999 - no version was registered." in (folder / "index.html").read_text()
    page = (folder / "30_train_pipeline.html").read_text()
    assert "papermill-error-cell" in page and page.count("data:image/png") >= 1


def test_a_wrong_call_is_one_clear_line(call):
    for arguments, expected in (
        (("run", "--environment", "production"), "found 'production'; expected dev, prod, registry"),
        (("run", "--environment", "dev", "--only", "31"), "found 31; expected 10, 20, 30, 40"),
        (("run", "--environment", "dev", "-p", "sead=1"), "found 'sead'; expected one of"),
        (("run", "--environment", "dev", "-p", "seed"), "found 'seed'; expected name=value"),
    ):
        code, output = call(CLI, *arguments)
        assert code == 1 and expected in output and "Traceback" not in output


def test_run_pipeline_upserts_starts_and_follows(call, trained):
    code, output = call(RUN_PIPELINE, "--environment", "dev")
    assert code == 0 and "mammo-severity-train-pipeline: unchanged" in output
    assert re.search(r"RegisterModel +RegisterModel +Succeeded", output)
    bucket = json.loads((ROOT / "environments" / "dev.tfvars.json").read_text())["default_bucket"]
    code, output = call(RUN_PIPELINE, "--environment", "dev", "-p", f"InputDataUrl=s3://{bucket}/nothing/")
    assert code == 1 and "RetrainGuard: " in output and "found no objects; expected training data" in output and "Traceback" not in output


def test_patients_rows_stay_in_the_own_bucket_and_outputs_are_encrypted(sandbox, trained):
    s3 = sandbox.client("s3", "registry")
    bucket = json.loads((ROOT / "environments" / "registry.tfvars.json").read_text())["model_artifacts_bucket"]
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert any(key.endswith("/output/model.tar.gz") for key in keys)
    assert not any(part in key for key in keys for part in ("/train/", "/validation/", "/test/", "/baseline/"))
    heads = [s3.head_object(Bucket=bucket, Key=key) for key in keys]
    assert all(head["ServerSideEncryption"] == "aws:kms" for head in heads)
