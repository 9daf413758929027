"""Terraform: its files are sound, its own tests pass, and it does in the sandbox what it does on AWS."""

import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from moto.events.models import EventPattern

from mammo_mlops.deployment import terraform, toolchain
from mammo_mlops.sandbox import server
from mammo_mlops.deployment.terraform import COLLECTOR, apply_plan, destroy, make_plan, planned_actions, read_root_outputs, read_saved_plan, read_versions
from mammo_mlops.deployment.toolchain import TerraformError, terraform_command

PROJECT = Path(__file__).parent.parent
ROOTS = ("production", "approval", "registry", "workload", "jenkins")


def quiet(line: str) -> None:
    """Show no progress."""


def run(folder: Path, *arguments: str) -> str:
    """What terraform says, without an account."""
    config = str(toolchain.prepare_configuration(PROJECT / ".terraform-cache" / "config", PROJECT / ".terraform-cache"))
    environ = {**COLLECTOR, **server.without_aws(dict(os.environ)), "TF_CLI_CONFIG_FILE": config, "CHECKPOINT_DISABLE": "1"}
    done = subprocess.run([*terraform_command(), *arguments], cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def jenkins(sandbox):
    """Inside, this process is Jenkins, who assumes a role in each account."""
    with pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith("AWS_")]:
            patch.delenv(key)
        for key, value in server.environ(sandbox.folder, "jenkins").items():
            patch.setenv(key, value)
        patch.chdir(PROJECT)
        yield


@pytest.fixture(scope="module", autouse=True)
def applying(jenkins, tmp_path_factory):
    """dev and registry are planned and applied while the files are tested: for a new queue the provider waits 25 s, here as on AWS."""

    def both(environment: str, folder: Path):
        lines = []
        planned = make_plan(environment, lines.append, folder)
        return planned, apply_plan(planned, lines.append), folder, lines

    with ThreadPoolExecutor(2) as pool:
        yield {environment: pool.submit(both, environment, tmp_path_factory.mktemp(environment)) for environment in ("dev", "registry")}


@pytest.fixture(scope="module")
def applied(applying):
    """The plan, what was done, the working copy and the progress of dev and registry."""
    return {environment: future.result() for environment, future in applying.items()}


# ----------------------------------------------------------------------------------------------------------------------
# The files
# ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A copy of the files whose roots are initialized without their backend."""
    folder = tmp_path_factory.mktemp("files")
    shutil.copytree(PROJECT / "terraform", folder, dirs_exist_ok=True)
    for root in ROOTS:
        run(folder / root, "init", "-backend=false", "-no-color")
        run(folder / root, "validate", "-no-color")
    return folder


def test_the_files_are_formatted():
    run(PROJECT / "terraform", "fmt", "-check", "-recursive", "-diff", "-no-color")


def test_the_roots_are_valid_and_their_own_tests_pass(copies):
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda root: run(copies / root, "test", "-no-color"), ROOTS))
    for root, text in zip(ROOTS, said, strict=True):
        files = [file.read_text() for file in (copies / root / "tests").glob("*.tftest.hcl")]
        assert len(files) == 2 and text.count("... pass") == sum(1 + file.count('run "') for file in files) and "0 failed" in text


@pytest.mark.parametrize("environment", ["dev", "prod", "registry"])
def test_every_key_of_an_environment_file_is_declared(environment):
    root = "approval" if environment == "registry" else "production"
    declared = re.findall(r'(?m)^variable "(\w+)"', (PROJECT / "terraform" / root / "variables.tf").read_text())
    keys = list(json.loads((PROJECT / "environments" / f"{environment}.tfvars.json").read_text()))
    assert sorted(set(declared) - {"notify_package"}) == sorted(keys)


def test_checkov_finds_nothing_and_each_skip_is_argued():
    checkov = PROJECT / ".venv-checks" / "bin" / "checkov"
    if not checkov.exists():
        pytest.skip("checkov is not installed; make test installs it")
    environ = {**server.without_aws(dict(os.environ)), "LOG_LEVEL": "ERROR"}
    command = [checkov, "-d", PROJECT / "terraform", "--framework", "terraform", "--skip-download", "--quiet", "--compact", "-o", "json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    summary = json.loads(done.stdout)["summary"]
    assert (done.returncode, summary["failed"], summary["parsing_errors"]) == (0, 0, 0)
    assert summary["passed"] > 100
    skips = re.findall(r"#checkov:skip=(CKV\w+): (.+)", "".join(path.read_text() for path in (PROJECT / "terraform").rglob("*.tf")))
    assert len(skips) == 25 and all(len(reason.split()) >= 8 for _, reason in skips)


# ----------------------------------------------------------------------------------------------------------------------
# In the sandbox
# ----------------------------------------------------------------------------------------------------------------------


def test_a_plan_says_what_apply_then_does(applied):
    for planned, done, _, _ in applied.values():
        assert (done.added, done.changed, done.destroyed) == (planned.added, 0, 0)
        assert planned.added > 5 and f"Plan: {planned.added} to add" in planned.text


def test_progress_says_what_took_how_long(applied):
    planned, _, _, lines = applied["dev"]
    commands = [found[1] for line in lines if (found := re.match(r"terraform (\w+) dev +\d+\.\d s", line))]
    assert commands == ["init", "plan", "apply"]
    assert len([line for line in lines if re.match(r"  \S+ +\d+m?\d*s$", line)]) == planned.added == len(lines) - len(commands)


def test_the_account_holds_what_the_files_say(applied, sandbox):
    dev, name = sandbox.environments.dev, sandbox.environments.dev.model_name
    events = sandbox.client("events", "dev")
    rules = {rule["Name"]: rule for rule in events.list_rules(NamePrefix=f"{name}-")["Rules"]}
    assert sorted(rules) == [f"{name}-{rule}" for rule in ("deadline", "drift", "inference-failed", "inference-schedule", "training-failed")]
    assert rules[f"{name}-inference-schedule"]["ScheduleExpression"] == dev.inference_pipeline.cron_schedule
    targets = {rule: events.list_targets_by_rule(Rule=rule)["Targets"] for rule in rules}
    assert sorted(target["Arn"].split(":", 5)[5] for target in targets[f"{name}-drift"]) == [f"function:{name}-notify", f"pipeline/{dev.train_pipeline.name}"]
    for target in [target for found in targets.values() for target in found]:
        assert target["DeadLetterConfig"]["Arn"].endswith(f":{name}-dead-letters") and target["RetryPolicy"]["MaximumRetryAttempts"] == 185
    topic = f"arn:aws:sns:us-east-1:{sandbox.account('dev')}:{dev.pipelines_alert_topic_name}"
    subscribed = sandbox.client("sns", "dev").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [(item["Protocol"], item["Endpoint"]) for item in subscribed] == [("email", dev.email)]


STEP, EXECUTION = "Execution Step Status Change", "Execution Status Change"
HAPPENS = [
    ("inference", STEP, {"stepName": "MonitorBatch", "currentStepStatus": "Failed", "failureReason": "ClientError: Quality check failed. Please see"}, ["drift"]),
    ("inference", STEP, {"stepName": "MonitorBatch", "currentStepStatus": "Failed", "failureReason": "ClientError: AlgorithmError: Quality check failed. 2 violations"}, ["drift"]),
    ("inference", STEP, {"stepName": "MonitorBatch", "currentStepStatus": "Failed", "failureReason": "ClientError: no such baseline"}, ["inference-failed"]),
    ("inference", STEP, {"stepName": "MonitorBatch", "currentStepStatus": "Failed"}, ["inference-failed"]),
    ("inference", STEP, {"stepName": "MonitorBatch", "currentStepStatus": "Succeeded"}, []),
    ("inference", STEP, {"stepName": "SelectRows", "currentStepStatus": "Failed", "failureReason": "ClientError: AlgorithmError: Blocked by 2 violations: age"}, []),
    ("inference", STEP, {"stepName": "SelectRows", "currentStepStatus": "Failed", "failureReason": "InternalServerError"}, ["inference-failed"]),
    ("inference", STEP, {"stepName": "PreprocessBatch", "currentStepStatus": "Failed", "failureReason": "ClientError: Quality check failed"}, ["inference-failed"]),
    ("inference", STEP, {"stepName": "LatestApprovedModel", "currentStepStatus": "Executing"}, []),
    ("inference", EXECUTION, {"currentPipelineExecutionStatus": "Failed"}, []),
    ("train", STEP, {"stepName": "MonitorBatch", "currentStepStatus": "Failed", "failureReason": "ClientError: Quality check failed"}, []),
    ("train", EXECUTION, {"currentPipelineExecutionStatus": "Failed"}, ["training-failed"]),
    ("train", EXECUTION, {"currentPipelineExecutionStatus": "Succeeded"}, []),
    ("another", EXECUTION, {"currentPipelineExecutionStatus": "Failed"}, []),
]


@pytest.mark.parametrize("pipeline, kind, detail, expected", HAPPENS)
def test_each_event_is_matched_by_the_rule_it_is_for_and_no_other(applied, sandbox, pipeline, kind, detail, expected):
    name, account = sandbox.environments.dev.model_name, sandbox.account("dev")
    arn = f"arn:aws:sagemaker:us-east-1:{account}:pipeline/{name}-{pipeline}-pipeline"
    event = {"source": "aws.sagemaker", "detail-type": f"SageMaker Model Building Pipeline {kind}", "account": account, "detail": {"pipelineArn": arn, **detail}}
    rules = sandbox.client("events", "dev").list_rules(NamePrefix=f"{name}-")["Rules"]
    matched = [rule["Name"] for rule in rules if "EventPattern" in rule and EventPattern.load(rule["EventPattern"]).matches_event(event)]
    assert matched == [f"{name}-{rule}" for rule in expected]


def test_the_state_is_encrypted_with_the_accounts_key_and_not_left_locked(applied, sandbox):
    dev, s3 = sandbox.environments.dev, sandbox.client("s3", "dev")
    found = [item for item in s3.list_objects_v2(Bucket=dev.terraform_state_bucket)["Contents"] if ".tfstate" in item["Key"]]  # A lock's key ends in .tflock
    assert [item["Key"] for item in found] == [f"{dev.model_name}/production.tfstate", f"{dev.model_name}/workload.tfstate"]
    assert s3.head_object(Bucket=dev.terraform_state_bucket, Key=found[0]["Key"])["ServerSideEncryption"] == "aws:kms"


def test_a_second_plan_changes_nothing(applied):
    def again(environment):
        return make_plan(environment, quiet, applied[environment][2])

    with ThreadPoolExecutor(2) as pool:
        plans = list(pool.map(again, applied))
    assert [(planned.added, planned.changed, planned.destroyed) for planned in plans] == [(0, 0, 0), (0, 0, 0)]
    assert planned_actions(plans[0]) == {}
    assert re.fullmatch(r"\d+\.\d+\.\d+", read_versions("dev", applied["dev"][2])["provider"])
    assert sorted(read_root_outputs("dev", folder=applied["dev"][2])) == ["dead_letters_arn", "notify_function_arn", "rules", "topic_arn"]


def test_a_plan_is_applied_once(applied):
    with pytest.raises(TerraformError, match="the plan is stale: found it applied, or replaced by a later one"):
        apply_plan(applied["registry"][0])


def test_a_plan_of_other_files_is_refused(applied, monkeypatch):
    planned = make_plan("registry", folder=applied["registry"][2])
    assert read_saved_plan("registry", applied["registry"][2]) == planned
    monkeypatch.setattr(terraform, "pack", lambda name: b"another archive")
    with pytest.raises(TerraformError, match="found other files .* nothing was applied. Plan again"):
        apply_plan(planned)


def changed_environments(folder: Path) -> Path:
    """The environment files, with somebody else to tell in dev."""
    shutil.copytree(PROJECT / "environments", folder)
    path = folder / "dev.tfvars.json"
    path.write_text(path.read_text().replace("mammo-dev-team@", "mammo-others@"))
    return folder


def test_of_two_applies_at_once_one_is_refused_and_changes_nothing(applied, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_ENVIRONMENTS", str(changed_environments(tmp_path / "environments")))
    first = make_plan("dev", folder=tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two", symlinks=True)
    plans = [first, replace(first, file=str(tmp_path / "two" / "plan.tfplan"))]
    assert (first.added, first.destroyed) == (1, 1)

    def attempt(planned):
        try:
            return apply_plan(planned)
        except TerraformError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(attempt, plans))
    refused = [result for result in results if isinstance(result, str)]
    assert len(refused) == 1
    assert re.search(r"the state is locked, so somebody else's .* nothing was changed|the state has changed since the plan was made", refused[0])


def test_a_locked_state_is_one_clear_error_that_names_who_holds_it(applied, sandbox):
    dev, s3 = sandbox.environments.dev, sandbox.client("s3", "dev")
    lock = {"Bucket": dev.terraform_state_bucket, "Key": f"{dev.model_name}/production.tfstate.tflock"}
    held = {"ID": "6f1c", "Operation": "OperationTypeApply", "Who": "ann@build-7", "Version": "1.11.4", "Created": "2026-11-23T06:00:00Z", "Info": "", "Path": ""}
    s3.put_object(**lock, Body=json.dumps(held).encode())
    try:
        with pytest.raises(TerraformError, match=r"terraform plan dev: the state is locked, .* \(ID: 6f1c, Who: ann@build-7, .*\); nothing was changed\."):
            make_plan("dev", folder=applied["dev"][2])
    finally:
        s3.delete_object(**lock)


def test_a_provider_that_is_nowhere_is_one_clear_error_with_three_ways(jenkins, tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "own_configuration", lambda: None)
    monkeypatch.setattr(toolchain, "find_mirror", lambda: None)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(TerraformError, match="terraform init dev: the AWS provider can not be found; expected one of three ways"):
        make_plan("dev", folder=tmp_path)


def test_destroy_leaves_nothing(applied, sandbox):
    name = sandbox.environments.dev.model_name
    with ThreadPoolExecutor(2) as pool:
        gone = list(pool.map(lambda environment: destroy(environment, quiet, applied[environment][2]), applied))
    assert [done.destroyed for done in gone] == [done.added for _, done, _, _ in applied.values()]
    assert sandbox.client("events", "dev").list_rules(NamePrefix=f"{name}-")["Rules"] == []
    topic = sandbox.environments.dev.pipelines_alert_topic_name
    assert [found for found in sandbox.client("sns", "dev").list_topics()["Topics"] if found["TopicArn"].endswith(f":{topic}")] == []
    assert [found["FunctionName"] for found in sandbox.client("lambda", "dev").list_functions()["Functions"] if found["FunctionName"].endswith("-notify")] == []
    iam = sandbox.client("iam", "dev")
    assert [role["RoleName"] for role in iam.list_roles()["Roles"] if "-events-" in role["RoleName"]] == []
    assert iam.list_role_policies(RoleName=sandbox.environments.dev.lambda_role.rpartition("/")[2])["PolicyNames"] == ["steps"]
    assert sandbox.client("kms", "dev").describe_key(KeyId=f"alias/{name}-alerts")["KeyMetadata"]["KeyState"] == "Enabled"  # The account's own
