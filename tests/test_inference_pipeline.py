"""The inference pipeline in running accounts: both engines, every policy, and each way to end with its own reason."""

import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.metrics import roc_auc_score

from mammo_mlops import data_split, inference_monitor, registry, train_pipeline
from mammo_mlops.monitoring import drift, labels, quality
from mammo_mlops.environment import Environment, Environments, load_environments
from mammo_mlops.pipelines.deploy import deploy_pipeline
from mammo_mlops.pipelines.executions import Execution, ExecutionFailed, follow_execution, function_answer, list_executions
from mammo_mlops.monitoring.drift import drift_found
from mammo_mlops.monitoring.outputs import Outputs, read_inference_outputs
from mammo_mlops.demo import sandbox_accounts
from mammo_mlops.sandbox import server
from mammo_mlops.steps import preprocess
from mammo_mlops.steps.schema import FEATURES, TARGET, InvalidData
from mammo_mlops.storage import batch_uri, data_uri, execution_uri, labels_uri, read_object, write_object, write_objects

ENVIRONMENTS = Path(__file__).parent.parent / "environments"
SPLIT = data_split.split_data(data_split.packaged_data().frame, seed=7)
ENGINES = {"dev": "model_monitor", "prod": "processing"}
ROWS = len(SPLIT.batch)


def quiet(line: str) -> None:
    """Shows nothing."""


@dataclass(frozen=True)
class Site:
    """An environment with both pipelines deployed and a version, trained there."""

    folder: Path  # Of the sandbox
    environment: Environment
    session: boto3.Session
    unapproved: Execution  # An inference before there was an approved version
    version: registry.ModelVersion

    def predict(self, batch: str = "", policy: str = "") -> tuple[Execution, Outputs]:
        """Predict a batch; what became of it."""
        arn = inference_monitor.start_inference(self.environment, self.session, batch, policy)
        execution = follow_execution(self.session, arn, quiet)
        return execution, read_inference_outputs(self.environment, self.session, execution)

    def batch(self, kind: str) -> str:
        """Address of one of the split's batches."""
        return batch_uri(self.environment, kind)

    def put(self, name: str, content: bytes) -> str:
        """A batch with this content; its address."""
        uri = f"{data_uri(self.environment, 'batch-dataset')}{name}.csv"
        write_object(self.environment, self.session, uri, content)
        return uri


def make_site(folder: Path, environments: Environments, name: str) -> Site:
    """Both pipelines deployed, inference tried in vain, and a version trained that waits."""
    given, session = getattr(environments, name), sandbox_accounts.session(folder, name)
    monitoring = given.monitoring.model_copy(update={"engine": ENGINES[name]})
    environment = Environment(given.workload.model_copy(update={"monitoring": monitoring}), given.registry)
    write_objects(environment, session, data_split.dataset_objects(environment, SPLIT))
    deploy_pipeline(environment, session, "inference")
    deploy_pipeline(environment, session, "train")
    unapproved = follow_execution(session, inference_monitor.start_inference(environment, session), quiet)
    trained = follow_execution(session, train_pipeline.start_training(environment, session, {}), quiet)
    assert trained.status == "Succeeded", trained
    version = registry.describe_version(session.client("sagemaker"), train_pipeline.registered_arn(session, trained))
    return Site(folder, environment, session, unapproved, version)


def approved(site: Site) -> Site:
    """The site, with its version the one approved last."""
    registry.decide(sandbox_accounts.session(site.folder, "approver"), site.version, "Approved", "for the test")
    return site


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, Site]]:
    """A site for each engine, in a sandbox of their own, because approvals are seen by everybody."""
    with tempfile.TemporaryDirectory() as name:
        folder, environments = Path(name) / ".sandbox", load_environments(ENVIRONMENTS)
        sandbox_accounts.start_with_accounts(0, folder, environments)
        try:
            yield {name: make_site(folder, environments, name) for name in ENGINES}
        finally:
            server.stop(folder)


@pytest.fixture(params=list(ENGINES), ids=list(ENGINES.values()))
def site(sites, request) -> Site:
    """Each site in turn."""
    return approved(sites[request.param])


@pytest.fixture
def first(sites) -> Site:
    """The first site, for what does not depend on the engine."""
    return approved(sites[next(iter(ENGINES))])


def statuses(execution: Execution) -> dict[str, str]:
    return {step.name: step.status for step in execution.steps}


def reason(execution: Execution) -> tuple[str, str]:
    """The first failed step and why."""
    failed = next(step for step in execution.steps if step.status == "Failed")
    return failed.name, failed.reason


def clean_run(site: Site) -> tuple[Execution, Outputs]:
    execution, outputs = site.predict()
    assert execution.status == "Succeeded", execution
    return execution, outputs


def test_a_definition_deployed_twice_is_unchanged(site):
    assert deploy_pipeline(site.environment, site.session, "inference").startswith("unchanged")


def test_a_clean_batch_is_predicted_row_by_row(site):
    execution, outputs = clean_run(site)
    assert list(statuses(execution)) == ["LatestApprovedModel", "CreateModel", "PreprocessBatch", "MonitorBatch", "SelectRows", "Transform"]
    assert outputs.predictions["row"].tolist() == list(range(ROWS))
    assert set(outputs.predictions["model_version"]) == {str(site.version.version)}
    assert outputs.violations == [] and (outputs.selection["predicted"], outputs.selection["quarantined"]) == (ROWS, 0)
    assert outputs.selection["batch"] == site.batch("clean") and outputs.selection["model_version"] == str(site.version.version)
    assert inference_monitor.check_predicted(execution) and inference_monitor.advice(execution, outputs) == "Nothing."


def test_what_the_model_saw_is_what_training_would_have_made_of_the_same_rows(site):
    execution, outputs = clean_run(site)
    state = json.loads(read_object(site.session, outputs.version["preprocessor_uri"]))
    raw = pd.concat([SPLIT.batch, SPLIT.batch_labels], axis=1)[[*FEATURES, TARGET]]
    trained = [line.split(",")[1:] for line in preprocess.for_xgboost(raw, state).splitlines()]
    selected = read_object(site.session, execution_uri(site.environment, execution.id, "selected/selected.csv")).decode()
    assert [line.split(",")[2:] for line in selected.splitlines()] == trained
    with tempfile.TemporaryDirectory() as folder:
        artifact = io.BytesIO(read_object(site.session, outputs.version["model_artifact_uri"]))
        with tarfile.open(fileobj=artifact) as archive:
            archive.extractall(folder, filter="data")
        booster = xgboost.Booster(model_file=str(Path(folder, "xgboost-model")))
    expected = booster.predict(xgboost.DMatrix(np.array(trained, dtype=float)))
    assert outputs.predictions["probability"].to_numpy() == pytest.approx(expected, abs=1e-6)


def test_labels_that_arrive_later_say_whether_the_predictions_were_right(first):
    execution, outputs = clean_run(first)
    known = read_object(first.session, labels_uri(first.environment))
    wrong = pd.read_csv(io.BytesIO(known)).eval(f"{TARGET} = 1 - {TARGET}").to_csv(index=False).encode()

    def night(content: bytes) -> quality.Night:
        assert labels.upload_labels(first.environment, first.session, execution.id, content, "labels.csv") == ROWS
        return quality.read_nights(first.environment, first.session, list_executions(first.session, first.environment.inference_pipeline.name))[0]

    with pytest.raises(InvalidData, match="found labels of 1 rows that the batch does not have"):
        labels.upload_labels(first.environment, first.session, execution.id, known + f"{ROWS},1\n".encode(), "labels.csv")
    assert execution.id not in labels.labelled_executions(first.environment, first.session)
    assert night(wrong).verdict == "below"
    right = night(known)
    assert right.verdict == "within" and right.version == outputs.version["model_version"]
    assert right.quality.auc == pytest.approx(roc_auc_score(SPLIT.batch_labels[TARGET], outputs.predictions["probability"]))


def test_outputs_lie_under_their_execution_and_are_encrypted_with_the_accounts_key(site):
    s3, found = site.session.client("s3"), []
    for _ in range(2):
        execution, _ = clean_run(site)
        prefix = f"{site.environment.model_name}/executions/{execution.id}/"
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=site.environment.default_bucket, Prefix=prefix)["Contents"]]
        assert {key.removeprefix(prefix).split("/")[0] for key in keys} == {"batch", "features", "monitoring", "selected", "selection", "quarantine", "predictions"}
        heads = [s3.head_object(Bucket=site.environment.default_bucket, Key=key) for key in keys]
        assert {head["ServerSideEncryption"] for head in heads} == {"aws:kms"}
        found.append(set(keys))
    assert not found[0] & found[1]


@pytest.mark.parametrize("policy", ["block", "quarantine", "predict"])
def test_a_batch_gone_wrong_raises_the_alarm_under_every_policy(site, policy):
    execution, outputs = site.predict(site.batch("outliers"), policy)
    name, why = reason(execution)
    assert name == "MonitorBatch" and why.startswith(drift.DRIFT_REASONS[site.environment.monitoring.engine == "processing"])
    assert drift_found(execution) and {violation["feature_name"] for violation in outputs.violations} >= {"age", "density"}
    impossible = set(np.flatnonzero((SPLIT.batch_outliers.age > 120) | (SPLIT.batch_outliers.margin == 9) | SPLIT.batch_outliers.density.isna()))
    expected = {"block": set(), "quarantine": set(range(ROWS)) - impossible, "predict": set(range(ROWS))}[policy]
    assert set(outputs.predictions["row"]) == expected
    assert (outputs.selection["predicted"], outputs.selection["quarantined"]) == (len(expected), len(impossible) if policy == "quarantine" else 0)
    if policy == "block":
        blocked = next(step.reason for step in execution.steps if step.name == "SelectRows")
        assert execution.status == "Failed" and blocked.startswith("ClientError: AlgorithmError: Blocked by ") and "age: " in blocked
        assert "Transform" not in statuses(execution)
        with pytest.raises(ExecutionFailed, match="expected predictions"):
            inference_monitor.check_predicted(execution)
    else:
        assert execution.status == "CompletedWithFailures" and statuses(execution)["Transform"] == "Succeeded"
        assert inference_monitor.check_predicted(execution)
    assert "The batch is not like the training data in age" in inference_monitor.advice(execution, outputs)


def test_rows_set_aside_are_named_with_what_is_wrong_and_without_their_values(site):
    execution, outputs = site.predict(site.batch("outliers"), "quarantine")
    aside = pd.read_csv(io.BytesIO(read_object(site.session, execution_uri(site.environment, execution.id, "quarantine/quarantine.csv"))))
    assert list(aside) == ["row", "feature", "fault"]
    assert set(aside["row"]).isdisjoint(outputs.predictions["row"])
    assert set(aside.loc[aside.feature == "age", "row"]) == set(np.flatnonzero(SPLIT.batch_outliers.age > 120))
    assert set(aside["fault"]) == {"not from 0 to 120", "not from 1 to 5", "missing"}


def test_no_approved_version_ends_the_run(site):
    name, why = reason(site.unapproved)
    assert name == "LatestApprovedModel" and "no approved version in" in why
    assert list(statuses(site.unapproved)) == ["LatestApprovedModel"] and not drift_found(site.unapproved)


# What does not depend on the engine


HEADER = b"bi_rads,age,shape,margin,density\n"


@pytest.mark.parametrize(("content", "expected"), [
    (None, 'No S3 objects found under S3 URL "s3://'),
    (b"", "found no rows; expected at least one"),
    (HEADER, "found a header and no rows"),
    (HEADER.replace(b"age", b"years") + b"5,67,3,5,3\n", "found the header bi_rads, years"),
    (b"5,67,3,5,3,1\n", "found 6 columns; expected 5: bi_rads, age, shape, margin, density"),
    (b"5,67,3,5\n", "found 4 columns"),
    (HEADER + b"5,67,3,5,3\n4,43\n", "found 2 columns in line 3"),
], ids=["missing", "empty", "header alone", "another name", "a column more", "a column less", "ragged"])
def test_what_is_no_batch_ends_the_run_with_its_own_reason_and_retrains_nothing(first, content, expected, name):
    uri = f"s3://{first.environment.default_bucket}/nothing/{name}.csv" if content is None else first.put(name, content)
    execution, outputs = first.predict(uri, "predict")
    step, why = reason(execution)
    assert (execution.status, step) == ("Failed", "PreprocessBatch") and expected in why
    assert list(statuses(execution)) == ["LatestApprovedModel", "CreateModel", "PreprocessBatch"]
    assert not drift_found(execution) and len(outputs.predictions) == 0


def overwritten(site: Site, uri: str, content: bytes):
    """Write other content to an object of the central bucket, then the old one again."""
    s3 = sandbox_accounts.session(site.folder, "registry").client("s3")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    before = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=content)
    try:
        return site.predict(policy="predict")
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=before)


@pytest.mark.parametrize(("artifact", "step", "expected"), [
    ("preprocessor_uri", "PreprocessBatch", "preprocessor.json: found no JSON object; expected the state that a training saved"),
    ("constraints_uri", "MonitorBatch", "baseline_constraints: found no such JSON file"),
    ("statistics_uri", "MonitorBatch", "baseline_statistics: found no such JSON file"),
    ("model_artifact_uri", "Transform", "ClientError"),
])
def test_an_artifact_that_can_not_be_read_ends_the_run_and_retrains_nothing(first, artifact, step, expected):
    _, outputs = clean_run(first)
    execution, outputs = overwritten(first, outputs.version[artifact], b"nonsense")
    name, why = reason(execution)
    assert (execution.status, name) == ("Failed", step) and expected in why
    assert not drift_found(execution) and len(outputs.predictions) == 0


def test_a_stray_word_in_a_cell_is_the_monitors_to_find(first, name):
    lines = data_split.raw_csv(SPLIT.batch, header=True).decode().splitlines()
    cells = lines[3].split(",")
    lines[3] = ",".join([cells[0], "unknown", *cells[2:]])
    uri = first.put(name, "\n".join(lines).encode())
    execution, outputs = first.predict(uri, "quarantine")
    assert drift_found(execution) and "data_type_check" in {violation["constraint_check_type"] for violation in outputs.violations}
    assert sorted(set(range(ROWS)) - set(outputs.predictions["row"])) == [2]


def test_a_batch_that_differs_as_a_whole_sets_no_row_aside(first, name):
    older = SPLIT.batch.assign(age=np.minimum(SPLIT.batch.age + 30, 110))
    uri = first.put(name, data_split.raw_csv(older, header=True))
    execution, outputs = first.predict(uri, "quarantine")
    assert {violation["feature_name"] for violation in outputs.violations} == {"age"}
    assert execution.status == "CompletedWithFailures" and len(outputs.predictions) == ROWS


def test_an_unknown_policy_starts_nothing(first):
    with pytest.raises(first.session.client("sagemaker").exceptions.ClientError, match="OnViolation"):
        first.predict(policy="ignore")


def test_the_two_batches_by_one_call_each(first):
    lines = []
    assert inference_monitor.test_batch(first.environment, first.session, "clean", lines.append).status == "Succeeded"
    assert inference_monitor.test_batch(first.environment, first.session, "outliers", lines.append).status == "Failed"
    assert any(line.startswith("Transform") for line in lines) and any("Quality check failed" in line for line in lines)


def test_models_of_earlier_executions_are_removed_after_a_month(first):
    clean_run(first)
    assert inference_monitor.remove_models(first.environment, first.session, days=30) == 0
    assert inference_monitor.remove_models(first.environment, first.session, days=-1) > 0
    assert inference_monitor.remove_models(first.environment, first.session, days=-1) == 0


def test_the_version_approved_last_predicts_so_approving_an_older_one_rolls_back(sites):
    older, newer = sorted(sites.values(), key=lambda site: site.version.version)
    for expected in (newer, older):
        _, outputs = clean_run(Site(older.folder, older.environment, older.session, older.unapproved, approved(expected).version))
        assert set(outputs.predictions["model_version"]) == {str(expected.version.version)}


def test_drift_trains_nothing_without_new_data_and_the_refusal_is_recorded(first):
    arn = train_pipeline.start_training(first.environment, first.session, {"RetrainReason": "drift"})
    execution = follow_execution(first.session, arn, quiet)
    answer = function_answer(first.session, execution, "RetrainGuard")
    assert execution.status == "Succeeded" and list(statuses(execution)) == ["RetrainGuard", "MayTrain"]
    assert answer["decision"] == "refuse" and "No labelled data is new" in answer["reason"]
