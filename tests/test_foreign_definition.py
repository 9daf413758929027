"""A definition that the SageMaker SDK wrote for other accounts and other scripts runs unchanged."""

import json
import shutil
from pathlib import Path

import pytest
from test_sandbox_pipelines import TRUST, wait_for

from conftest import ENVIRONMENTS, Sandbox
from mammo_mlops.data_split import packaged_data
from mammo_mlops.demo.sandbox_accounts import accounts_of
from mammo_mlops.environment import load_environments
from mammo_mlops.sandbox import server

DEFINITION = Path(__file__).parent / "definitions" / "sdk_v3_train_pipeline.json"
WORKLOAD, REGISTRY = "123456789012", "999999999999"  # The accounts it names
GROUP = f"arn:aws:sagemaker:us-east-1:{REGISTRY}:model-package-group/mammo-group"
PREPROCESS = """
import pathlib, sys
import pandas as pd
base = pathlib.Path("/opt/ml/processing")
rows = pd.concat(pd.read_csv(path, header=None) for path in (base / "input").glob("*.csv")).sample(frac=1, random_state=int(sys.argv[2]))
rows = rows[[5, 0, 1, 2, 3, 4]]
for name, part in {"train": rows[:500], "validation": rows[500:650], "test": rows[650:], "baseline": rows.iloc[:, 1:]}.items():
    part.to_csv(base / name / f"{name}.csv", header=False, index=False)
"""
EVALUATE = """
import json, tarfile
import pandas as pd, xgboost
from sklearn.metrics import roc_auc_score
tarfile.open("/opt/ml/processing/model/model.tar.gz").extractall("/opt/ml/tmp", filter="data")
booster = xgboost.Booster(); booster.load_model("/opt/ml/tmp/xgboost-model")
test = pd.read_csv("/opt/ml/processing/test/test.csv", header=None)
auc = roc_auc_score(test[0], booster.predict(xgboost.DMatrix(test.iloc[:, 1:].to_numpy())))
json.dump({"classification_metrics": {"auc": {"value": auc}}}, open("/opt/ml/processing/evaluation/evaluation.json", "w"))
"""


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A sandbox with the accounts that the definition names."""
    folder = tmp_path_factory.mktemp("other")
    shutil.copytree(ENVIRONMENTS, folder / "environments")
    for name, account in (("dev", WORKLOAD), ("registry", REGISTRY)):
        path = folder / "environments" / f"{name}.tfvars.json"
        changed = json.loads(path.read_text()) | {"account_id": account} | ({"jenkins_account_id": "210987654321"} if name == "registry" else {})
        path.write_text(json.dumps(changed))
    environments = load_environments(folder / "environments")
    server.start(0, folder / ".sandbox", accounts_of(environments))
    yield Sandbox(folder / ".sandbox", environments)
    server.stop(folder / ".sandbox")


@pytest.fixture(scope="module")
def deployed(other):
    """What the definition takes for granted: role, buckets, code, data, package group."""
    document = lambda *statements: json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam, s3, central = other.client("iam"), other.client("s3"), other.client("s3", "registry")
    role = iam.create_role(RoleName="pipeline-role", AssumeRolePolicyDocument=document(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName="pipeline-role", PolicyName="rights", PolicyDocument=document({"Effect": "Allow", "Action": ["s3:*", "sagemaker:*", "iam:PassRole"], "Resource": "*"}))
    s3.create_bucket(Bucket="dev-bucket")
    central.create_bucket(Bucket="registry-bucket")
    central.put_bucket_policy(Bucket="registry-bucket", Policy=document({"Effect": "Allow", "Principal": {"AWS": role}, "Action": "s3:*", "Resource": ["arn:aws:s3:::registry-bucket", "arn:aws:s3:::registry-bucket/*"]}))
    definition = json.loads(DEFINITION.read_text())
    for step, script in zip([s for s in definition["Steps"] if s["Type"] == "Processing"], (PREPROCESS, EVALUATE)):
        uri = next(i for i in step["Arguments"]["ProcessingInputs"] if i["InputName"] == "code")["S3Input"]["S3Uri"]
        s3.put_object(Bucket="dev-bucket", Key=uri.removeprefix("s3://dev-bucket/"), Body=script.encode())
    s3.put_object(Bucket="dev-bucket", Key="mammo/data/train-dataset/part-1.csv", Body=packaged_data().content)
    registry = other.client("sagemaker", "registry")
    registry.create_model_package_group(ModelPackageGroupName="mammo-group")
    policy = document({"Effect": "Allow", "Principal": {"AWS": role}, "Action": "sagemaker:CreateModelPackage", "Resource": GROUP.replace("-group/", "/", 1) + "/*"})
    registry.put_model_package_group_policy(ModelPackageGroupName="mammo-group", ResourcePolicy=policy)
    other.client("sagemaker").create_pipeline(PipelineName="mammo-train", RoleArn=role, PipelineDefinition=DEFINITION.read_text())
    return other


def run(sandbox, **values):
    """Run it; the execution and its steps by name."""
    sagemaker = sandbox.client("sagemaker")
    given = [{"Name": name, "Value": value} for name, value in values.items()]
    arn = sagemaker.start_pipeline_execution(PipelineName="mammo-train", PipelineParameters=given)["PipelineExecutionArn"]
    wait_for(lambda: sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] not in ("Executing", "Stopping"))
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn), {step["StepName"]: step for step in steps}


def test_it_trains_and_registers_in_the_account_it_names(deployed):
    execution, steps = run(deployed)
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    assert set(steps) == {"PreProcess", "Train", "Evaluate", "CheckAuc", "DataQualityBaseline", "RegisterModel"}
    version = deployed.client("sagemaker", "registry").describe_model_package(ModelPackageName=steps["RegisterModel"]["Metadata"]["RegisterModel"]["Arn"])
    assert version["ModelApprovalStatus"] == "PendingManualApproval"


def test_a_second_run_takes_its_cached_steps_and_the_other_branch(deployed):
    execution, steps = run(deployed, AucScoreThreshold="0.999")
    assert execution["PipelineExecutionStatus"] == "Failed" and steps["AucTooLow"]["FailureReason"] == "Execution failed: model AUC <= 0.999"
    assert "CacheHitResult" in steps["PreProcess"] and "CacheHitResult" in steps["Train"]
