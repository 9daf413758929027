"""The Lambda functions where they run: in dev's and prod's accounts, in their own role, called by pipelines."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mammo_mlops.environment import group_arn
from mammo_mlops.pipelines.functions import FUNCTION_SECONDS, create_function, deploy_functions, function_arn, function_name
from mammo_mlops.registry import decide, describe_version
from mammo_mlops.steps.schema import data_sha256

OVER = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")


@pytest.fixture(scope="module")
def sandbox(own_sandbox):
    """A sandbox of its own: these tests are about every version of the one package group."""
    for env in (own_sandbox.environments.dev, own_sandbox.environments.prod):
        assert deploy_functions(env, own_sandbox.session(env.env_group)) == [function_name(env, name) for name in ("latest_approved", "retrain_guard")]
    return own_sandbox


def register(sandbox, sha256, env="dev"):
    """A new version that waits for approval, as the train pipeline registers it."""
    registry, sagemaker = sandbox.environments.registry, sandbox.client("sagemaker", "registry")
    bucket = registry.model_artifacts_bucket
    sandbox.client("s3", "registry").put_object(Bucket=bucket, Key="model.tar.gz", Body=b"weights")
    files = {part: {"ContentType": "application/json", "S3Uri": f"s3://{bucket}/{part.lower()}.json"} for part in ("Statistics", "Constraints")}
    return sagemaker.create_model_package(
        ModelPackageGroupName=group_arn(registry),
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0", "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        ModelMetrics={"ModelDataQuality": files, "ModelQuality": {"Statistics": files["Statistics"]}},
        DriftCheckBaselines={"ModelDataQuality": files},
        CustomerMetadataProperties={"trained_in": env, "data_sha256": sha256, "preprocessor": f"s3://{bucket}/preprocessor.json"},
    )["ModelPackageArn"]


@pytest.fixture
def versions(sandbox):
    """Register versions by their data's hash; all versions are gone afterwards."""
    made = []
    yield lambda sha256, env="dev": made.append(register(sandbox, sha256, env)) or made[-1]
    for arn in made:
        sandbox.client("sagemaker", "registry").delete_model_package(ModelPackageName=arn)


def call(sandbox, env, name, event):
    """The function's answer, or its error's text."""
    answer = sandbox.client("lambda", env.env_group).invoke(FunctionName=function_name(env, name), Payload=json.dumps(event))
    body = json.load(answer["Payload"])
    return body["errorMessage"] if "FunctionError" in answer else body


def latest(sandbox, env):
    return call(sandbox, env, "latest_approved", {"model_package_group": env.model_package_group_arn})


def test_what_is_deployed_stays_as_it_is(sandbox):
    dev, client = sandbox.environments.dev, sandbox.client("lambda")

    def held():
        return {key: value for key, value in client.get_function_configuration(FunctionName=function_name(dev, "retrain_guard")).items() if key != "ResponseMetadata"}

    before = held()
    assert deploy_functions(dev, sandbox.session("dev")) == [] and held() == before
    assert (before["FunctionArn"], before["Runtime"], before["Timeout"]) == (function_arn(dev, "retrain_guard"), "python3.12", FUNCTION_SECONDS)


def test_without_an_approved_version_the_answer_says_what_there_is(sandbox, versions):
    dev = sandbox.environments.dev
    assert "no approved version in" in latest(sandbox, dev) and "found no version at all" in latest(sandbox, dev)
    versions("aaaa")
    assert "(PendingManualApproval); expected one that is Approved; nothing was predicted." in latest(sandbox, dev)


def test_the_version_that_was_approved_last_is_used_in_every_account(sandbox, versions):
    approver, environments = sandbox.session("approver"), sandbox.environments
    first, second = versions("aaaa"), versions("bbbb")

    def approved(arn):
        decide(approver, describe_version(approver.client("sagemaker"), arn), "Approved", "better")
        return {latest(sandbox, env)["model_package_arn"] for env in (environments.dev, environments.prod)}

    assert [approved(first), approved(second), approved(first)] == [{first}, {second}, {first}]
    decide(approver, describe_version(approver.client("sagemaker"), first), "Rejected", "worse")
    assert latest(sandbox, environments.dev)["model_package_arn"] == second


class Training:
    """Prod's train pipeline with nothing behind the guard but what the test asks for, and data of its own."""

    def __init__(self, sandbox, name):
        self.sandbox, self.env, self.name = sandbox, sandbox.environments.prod, name
        self.sagemaker, self.s3 = sandbox.client("sagemaker", "prod"), sandbox.client("s3", "prod")
        self.bucket, self.data = self.env.default_bucket, f"data/{name}/"
        self.rows = f"5,67,3,5,3,1\r\n4,43,1,1,?,0\n{name}\n".encode()
        self.s3.put_object(Bucket=self.bucket, Key=f"{self.data}part-1.csv", Body=self.rows)
        self.sha256 = data_sha256([self.rows])

    def create(self, *trained):
        event = {
            "reason": {"Get": "Parameters.RetrainReason"},
            "input_data_url": f"s3://{self.bucket}/{self.data}",
            "model_package_group": self.env.model_package_group_arn,
            "pipeline_execution_arn": {"Get": "Execution.PipelineExecutionArn"},
            "cool_down_days": 7,
            "trained_in": "prod",
            "claims": f"s3://{self.bucket}/{self.env.model_name}/claims/{self.name}/",
        }
        outputs = [{"OutputName": key, "OutputType": "String"} for key in ("decision", "reason", "data_sha256")]
        decision = {"Get": "Steps.RetrainGuard.OutputParameters['decision']"}
        steps = [
            {"Name": "RetrainGuard", "Type": "Lambda", "FunctionArn": function_arn(self.env, "retrain_guard"), "Arguments": event, "OutputParameters": outputs},
            {"Name": "MayTrain", "Type": "Condition", "Arguments": {"Conditions": [{"Type": "Equals", "LeftValue": decision, "RightValue": "train"}], "IfSteps": list(trained), "ElseSteps": []}},
        ]
        definition = {"Version": "2020-12-01", "Parameters": [{"Name": "RetrainReason", "Type": "String", "DefaultValue": "manual"}], "Steps": steps}
        pipeline = {"PipelineName": self.env.train_pipeline.name, "RoleArn": self.env.train_pipeline.role_arn, "PipelineDefinition": json.dumps(definition)}
        self.sagemaker.create_pipeline(**pipeline)

    def start(self, reason="drift"):
        given = [{"Name": "RetrainReason", "Value": reason}]
        return self.sagemaker.start_pipeline_execution(PipelineName=self.env.train_pipeline.name, PipelineParameters=given)["PipelineExecutionArn"]

    def end(self, arn):
        """How the execution ended, and what the guard answered."""
        for _ in range(2000):
            status = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
            if status in OVER:
                break
            time.sleep(0.03)
        steps = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        guard = next(step for step in steps if step["StepName"] == "RetrainGuard")
        assert guard["StepStatus"] == "Succeeded", guard
        return status, {item["Name"]: item["Value"] for item in guard["Metadata"]["Lambda"]["OutputParameters"]}

    def run(self, reason="drift"):
        return self.end(self.start(reason))


@pytest.fixture
def training(sandbox, name):
    found = Training(sandbox, name)
    yield found
    found.sagemaker.delete_pipeline(PipelineName=found.env.train_pipeline.name)


def test_one_drift_event_delivered_six_times_trains_once(training):
    training.create()
    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(lambda _: training.run(), range(6)))
    assert sorted(answer["decision"] for _, answer in ends) == ["refuse"] * 5 + ["train"]
    assert {status for status, _ in ends} == {"Succeeded"}
    assert {answer["data_sha256"] for _, answer in ends} == {training.sha256}
    assert all("on the same labelled data" in answer["reason"] for _, answer in ends if answer["decision"] == "refuse")
    assert training.run("manual")[1]["decision"] == "train"


def test_a_training_that_failed_is_tried_once_more_and_then_waits(training):
    training.create({"Name": "Break", "Type": "Fail", "Arguments": {"ErrorMessage": "AUC too low"}})
    ends = [training.run() for _ in range(3)]
    assert [status for status, _ in ends] == ["Failed", "Failed", "Succeeded"]
    assert "2 trainings on this data came to nothing" in ends[2][1]["reason"]
    training.s3.put_object(Bucket=training.bucket, Key=f"{training.data}part-2.csv", Body=b"5,58,4,5,3,1\n")
    assert training.run()[1]["decision"] == "train"


def test_the_guard_refuses_while_a_version_waits_and_within_the_cool_down_and_without_new_data(sandbox, training, versions):
    training.create()
    approver = sandbox.session("approver")
    foreign = versions("cccc", "dev")
    own = versions("dddd", "prod")
    assert "has waited for approval" in training.run()[1]["reason"]
    decide(approver, describe_version(approver.client("sagemaker"), own), "Approved", "better")
    assert "the cool-down of 7 days is not over" in training.run()[1]["reason"]
    sandbox.client("sagemaker", "registry").update_model_package(ModelPackageArn=foreign, CustomerMetadataProperties={"data_sha256": training.sha256})
    assert "No labelled data is new" in training.run()[1]["reason"]
    assert training.run("manual") == ("Succeeded", {"decision": "train", "reason": "Started by hand.", "data_sha256": training.sha256})


@pytest.fixture
def notices(sandbox, name, open_queue):
    """Send a notice with dev's function as Terraform would have it; and read what came out of its topic."""
    dev, session = sandbox.environments.dev, sandbox.session("dev")
    sns, sqs, iam = (sandbox.client(service) for service in ("sns", "sqs", "iam"))
    topic, (queue, queue_arn) = sns.create_topic(Name=name)["TopicArn"], open_queue()
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    notes = f"arn:aws:s3:::{dev.default_bucket}/{dev.model_name}/told/*"
    rights = {notes: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], topic: "sns:Publish", "*": "sagemaker:ListPipelineExecutions"}
    statements = [{"Effect": "Allow", "Action": actions, "Resource": resource} for resource, actions in rights.items()]
    iam.put_role_policy(RoleName=dev.lambda_role.rpartition("/")[2], PolicyName=name, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    create_function(dev, "notify", session.client("lambda"))
    common = {"key": name, "time": "2026-11-10T23:00:00Z", "subject": "a batch has drifted", "message": "Why: {failureReason}", "bucket": dev.default_bucket, "prefix": f"{dev.model_name}/told", "topic": topic}

    def tell(**event):
        return call(sandbox, dev, "notify", {**common, **event})

    def read():
        return [json.loads(message["Body"]) for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])]

    yield tell, read
    iam.delete_role_policy(RoleName=dev.lambda_role.rpartition("/")[2], PolicyName=name)


def test_a_notice_is_sent_once_however_often_its_event_comes(notices):
    tell, read = notices
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: tell(detail={"failureReason": 'found "x"\nin line 3'}), range(4)))
    assert sorted(answer["told"] for answer in answers) == [False, False, False, True]
    assert [(mail["Subject"], mail["Message"]) for mail in read()] == [("a batch has drifted", 'Why: found "x"\nin line 3')]


def test_a_notice_that_could_not_be_sent_is_sent_the_next_time(notices):
    tell, read = notices
    assert "when calling the Publish operation" in tell(topic="arn:aws:sns:us-east-1:111122223333:nobody")
    assert tell()["told"] and len(read()) == 1


def test_a_streak_is_told_at_once_and_then_weekly(notices):
    tell, _ = notices
    answers = [tell(once_per="streak", pipeline="arn:aws:sagemaker:us-east-1:111122223333:pipeline/nobody", time=f"2026-11-{day}T23:00:00Z") for day in (10, 11, 16, 17, 18)]
    assert [answer["told"] for answer in answers] == [True, False, False, True, False]
