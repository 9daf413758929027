"""Prod runs by itself: each failure has exactly the mails and trainings it should have, also when events repeat."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import Sandbox
from mammo_mlops import data_split, train_pipeline
from mammo_mlops.demo.people import colleague, quiet
from mammo_mlops.deployment import terraform
from mammo_mlops.pipelines import executions
from mammo_mlops.pipelines.deploy import deploy_pipeline
from mammo_mlops.registry import decide, list_versions
from mammo_mlops.sandbox import server
from mammo_mlops.storage import batch_uri, bucket_and_key, write_objects

ROOT = Path(__file__).parent.parent


@dataclass
class Prod:
    """Prod with Terraform applied, and short words for what tests do there."""

    sandbox: Sandbox
    batches: dict[str, bytes]
    seen: int = 0  # Mails read
    late: tuple[str, ...] = ()  # Those of the last look that say the deadline passed

    @property
    def environment(self):
        return self.sandbox.environments.prod

    def deliver(self, content):
        """Put the batch where the schedule looks for it; None takes it away."""
        (bucket, key), s3 = bucket_and_key(batch_uri(self.environment)), self.sandbox.client("s3", "prod")
        if content is None:
            s3.delete_object(Bucket=bucket, Key=key)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=content)

    def night(self, **move):
        """Let it become 23:00 and everything settle; the night's executions by pipeline, and the subjects of its mails but for the deadline's."""
        before = self.arns()
        server.advance(self.sandbox.folder, **(move or {"to": "23:00"}))
        runs = {name: [arn for arn in arns if arn not in before[name]] for name, arns in self.arns().items()}
        return {name: [executions.describe_execution(self.sandbox.session("prod"), arn) for arn in arns] for name, arns in runs.items()}, self.new_mails()

    def new_mails(self):
        subjects = [mail["subject"] for mail in server.mails(self.sandbox.folder)]
        new, self.seen = subjects[self.seen:], len(subjects)
        self.late = tuple(subject for subject in new if "no predictions by the deadline" in subject)
        return [subject for subject in new if subject not in self.late]

    def arns(self):
        sagemaker = self.sandbox.client("sagemaker", "prod")
        names = {"inference": self.environment.inference_pipeline.name, "training": self.environment.train_pipeline.name}
        pages = {kind: sagemaker.list_pipeline_executions(PipelineName=name, MaxResults=100) for kind, name in names.items()}
        return {kind: [item["PipelineExecutionArn"] for item in page["PipelineExecutionSummaries"]] for kind, page in pages.items()}

    def approve(self, number):
        version = next(v for v in list_versions(self.sandbox.session("approver"), self.sandbox.environments.registry) if v.version == number)
        decide(self.sandbox.session("approver"), version, "Approved", "good enough")


@pytest.fixture(scope="module")
def prod(own_sandbox):
    """Data, pipelines, Terraform, and version 1, trained in prod on part 1 alone and approved."""
    sandbox = own_sandbox
    environment, session = sandbox.environments.prod, sandbox.session("prod")
    server.advance(sandbox.folder, to="08:00")
    split = data_split.split_data(data_split.packaged_data().frame, 7)
    objects = data_split.dataset_objects(environment, split)
    write_objects(environment, session, {uri: content for uri, content in objects.items() if not uri.endswith("part-2.csv")})
    deploy_pipeline(environment, session, "train")
    deploy_pipeline(environment, session, "inference")
    with colleague("jenkins", server.environ(sandbox.folder), ROOT) as jenkins:
        applying = [jenkins.apply_async(terraform.plan_and_apply, (name, quiet)) for name in ("prod", "registry")]
        execution = executions.follow_execution(session, train_pipeline.start_training(environment, session, {}), lambda line: None)
        assert execution.status == "Succeeded", execution
        for applied in applying:
            applied.get(600)
    server.confirm_subscriptions(sandbox.folder)
    made = Prod(sandbox, {kind: objects[batch_uri(environment, kind)] for kind in ("clean", "outliers")})
    made.new_mails()
    yield made



def failed_step(execution):
    return [(step.name, step.reason) for step in execution.steps if step.status == "Failed"]


def test_without_an_approved_version_a_person_is_told_and_nothing_trains(prod):
    runs, mails = prod.night()
    assert [failed_step(run)[0][0] for run in runs["inference"]] == ["LatestApprovedModel"] and runs["training"] == []
    assert len(mails) == 1 and "inference failed at LatestApprovedModel" in mails[0]
    prod.approve(1)


def test_a_clean_batch_is_predicted_and_nobody_is_mailed(prod):
    runs, mails = prod.night()
    assert [run.status for run in runs["inference"]] == ["Succeeded"] and runs["training"] == [] and mails == []
    assert ":assumed-role/" in runs["inference"][0].started_by


@pytest.mark.parametrize(("batch", "step", "reason"), [
    (None, "PreprocessBatch", "No S3 objects found"),
    (b"", "PreprocessBatch", "found no rows"),
    (b"age,shape\n1,2\n", "PreprocessBatch", "column"),
    (b"bi_rads,age,shape,margin,severity\n5,67,3,5,1\n", "PreprocessBatch", "found the header"),
], ids=["missing", "empty", "too few columns", "other columns"])
def test_a_batch_that_can_not_be_read_mails_once_and_trains_nothing(prod, batch, step, reason):
    prod.deliver(batch)
    runs, mails = prod.night()
    (run,) = runs["inference"]
    assert (run.status, runs["training"]) == ("Failed", [])
    assert failed_step(run)[0][0] == step and reason in failed_step(run)[0][1]
    assert len([mail for mail in mails if f"inference failed at {step}" in mail]) == 1
    assert not any("drift" in mail for mail in mails)
    prod.deliver(prod.batches["clean"])


def test_a_lost_permission_mails_and_trains_nothing(prod):
    iam, role = prod.sandbox.client("iam", "prod"), prod.environment.inference_pipeline.role_arn.rpartition("/")[2]
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "sagemaker:CreateTransformJob", "Resource": "*"}]}
    iam.put_role_policy(RoleName=role, PolicyName="lost", PolicyDocument=json.dumps(deny))
    runs, mails = prod.night()
    iam.delete_role_policy(RoleName=role, PolicyName="lost")
    assert failed_step(runs["inference"][0])[0][0] == "Transform" and "not authorized" in failed_step(runs["inference"][0])[0][1]
    assert runs["training"] == [] and len([mail for mail in mails if "inference failed at Transform" in mail]) == 1


@pytest.mark.parametrize(("code", "reason"), [
    ("import time; time.sleep(60)", "The job ran longer than its MaxRuntimeInSeconds of 1 and was stopped."),
    ("raise ValueError('a bug')", "exit code: 1"),
], ids=["timeout", "code error"])
def test_a_timeout_and_a_bug_mail_and_train_nothing(prod, code, reason):
    sagemaker, pipeline = prod.sandbox.client("sagemaker", "prod"), prod.environment.inference_pipeline.name
    deployed = sagemaker.describe_pipeline(PipelineName=pipeline)["PipelineDefinition"]
    changed = json.loads(deployed)
    arguments = next(step for step in changed["Steps"] if step["Name"] == "PreprocessBatch")["Arguments"]
    arguments["AppSpecification"] = {"ImageUri": arguments["AppSpecification"]["ImageUri"], "ContainerEntrypoint": ["python3", "-c", code]}
    arguments["StoppingCondition"] = {"MaxRuntimeInSeconds": 1}
    sagemaker.update_pipeline(PipelineName=pipeline, PipelineDefinition=json.dumps(changed))
    runs, mails = prod.night()
    sagemaker.update_pipeline(PipelineName=pipeline, PipelineDefinition=deployed)
    assert failed_step(runs["inference"][0])[0][0] == "PreprocessBatch" and reason in failed_step(runs["inference"][0])[0][1]
    assert runs["training"] == [] and len([mail for mail in mails if "inference failed at PreprocessBatch" in mail]) == 1


def killing(sandbox, program):
    """A process that kills the sandbox's next job whose command line names the program."""
    command = [sys.executable, Path(__file__).parent / "killer.py", str(server.status(sandbox.folder)["pid"]), program]
    killer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert killer.stdout.readline() == "looking\n"
    return killer


@pytest.mark.parametrize(("kind", "step", "program"), [
    ("inference", "PreprocessBatch", "steps.preprocess_batch"), ("inference", "MonitorBatch", "steps.data_quality"),
    ("inference", "SelectRows", "steps.select_rows"), ("inference", "Transform", "xgboost_serving.py"),
    ("training", "Preprocess", "steps.preprocess"), ("training", "Train", "xgboost_algorithm.py"), ("training", "Evaluate", "steps.evaluate"),
    ("training", "DataQualityBaseline", "steps.data_quality"), ("training", "TuneConstraints", "steps.tune_constraints"),
])
def test_a_killed_process_fails_its_step_mails_once_and_trains_nothing(prod, kind, step, program):
    session, pipelines = prod.sandbox.session("prod"), {"inference": prod.environment.inference_pipeline, "training": prod.environment.train_pipeline}
    prod.new_mails()
    trainings, killer = prod.arns()["training"], killing(prod.sandbox, program)
    execution = executions.follow_execution(session, executions.start_execution(session, pipelines[kind].name), lambda line: None)
    assert killer.wait(60) == 0
    server.advance(prod.sandbox.folder, hours=0.02)
    assert execution.status == "Failed" and failed_step(execution)[0][0] == step, execution
    text = "training failed" if kind == "training" else f"inference failed at {step}"
    assert len([mail for mail in prod.new_mails() if "failed" in mail]) == 1, text
    assert len(prod.arns()["training"]) - len(trainings) == (kind == "training")


def test_a_run_that_never_began_is_noticed(prod):
    events, rule = prod.sandbox.client("events", "prod"), f"{prod.environment.model_name}-inference-schedule"
    prod.night()  # a good one, so that a new streak begins
    events.disable_rule(Name=rule)
    runs, mails = prod.night(days=1, hours=4)
    assert runs["inference"] == [] and mails == [] and len(prod.late) == 1
    prod.night(days=1)
    assert prod.late == ()  # the same is not told every day
    events.enable_rule(Name=rule)
    runs, mails = prod.night()
    assert [run.status for run in runs["inference"]] == ["Succeeded"] and mails == []


def test_drift_without_new_data_mails_once_and_trains_nothing(prod):
    prod.deliver(prod.batches["outliers"])
    runs, mails = prod.night()
    assert failed_step(runs["inference"][0])[0][0] == "MonitorBatch"
    (training,) = runs["training"]
    assert training.status == "Succeeded" and [step.name for step in training.steps] == ["RetrainGuard", "MayTrain"]
    assert len([mail for mail in mails if "drifted" in mail]) == 1 and not any("failed" in mail for mail in mails)
    runs, mails = prod.night()
    assert len(runs["training"]) == 1 and not any("drifted" in mail for mail in mails)


def test_drift_with_new_data_trains_once_although_its_event_repeats_and_comes_late(prod):
    split = data_split.split_data(data_split.packaged_data().frame, 7)
    objects = data_split.dataset_objects(prod.environment, split)
    write_objects(prod.environment, prod.sandbox.session("prod"), {uri: content for uri, content in objects.items() if uri.endswith("part-2.csv")})
    prod.deliver(prod.batches["clean"])
    prod.night(days=10)  # past the cool-down; a success ends the streak of drift
    prod.deliver(prod.batches["outliers"])
    runs, mails = prod.night()
    assert [len(run.steps) > 2 for run in runs["training"]] == [True] and runs["training"][0].status == "Succeeded"
    assert len([mail for mail in mails if "drifted" in mail]) == 1 and len([mail for mail in mails if "approval" in mail]) == 1
    drift = [event for event in server.events(prod.sandbox.folder) if event["detail"].get("stepName") == "MonitorBatch" and event["detail"].get("currentStepStatus") == "Failed"][-1]
    before = prod.arns()["training"]
    for _ in range(2):
        server.redeliver(prod.sandbox.folder, drift["id"])
    server.advance(prod.sandbox.folder, hours=1)
    again = [executions.describe_execution(prod.sandbox.session("prod"), arn) for arn in prod.arns()["training"] if arn not in before]
    assert len(again) == 2 and all([step.name for step in run.steps] == ["RetrainGuard", "MayTrain"] for run in again)
    assert prod.new_mails() == []


def test_the_approved_version_predicts_the_next_night(prod):
    prod.approve(2)
    prod.deliver(prod.batches["clean"])
    runs, _ = prod.night()
    (run,) = runs["inference"]
    assert run.status == "Succeeded"
    assert executions.function_answer(prod.sandbox.session("prod"), run, "LatestApprovedModel")["model_version"] == "2"


def test_a_training_that_fails_mails(prod):
    session = prod.sandbox.session("prod")
    arn = train_pipeline.start_training(prod.environment, session, {"AucScoreThreshold": "0.9999"})
    assert executions.follow_execution(session, arn, lambda line: None).status == "Failed"
    server.advance(prod.sandbox.folder, hours=0.02)
    assert len([mail for mail in prod.new_mails() if "training failed" in mail]) == 1


def test_a_target_that_refuses_leaves_a_dead_letter(prod):
    iam, name = prod.sandbox.client("iam", "prod"), f"{prod.environment.model_name}-events-start-inference"
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="lost", PolicyDocument=json.dumps(deny))
    runs, _ = prod.night()
    iam.delete_role_policy(RoleName=name, PolicyName="lost")
    sqs = prod.sandbox.client("sqs", "prod")
    url = sqs.get_queue_url(QueueName=f"{prod.environment.model_name}-dead-letters")["QueueUrl"]
    letter = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"][0]
    assert runs["inference"] == [] and "not authorized" in letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
