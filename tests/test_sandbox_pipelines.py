"""Pipelines over HTTP: every step type's success and failure, with AWS's status and reason."""

import io
import json
import os
import re
import signal
import tarfile
import time
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
OLD_XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.0-1-cpu-py3"
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
TRUST = {"Effect": "Allow", "Principal": {"Service": ["sagemaker.amazonaws.com", "lambda.amazonaws.com"]}, "Action": "sts:AssumeRole"}
OVER = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")


class Account:
    """One account with a bucket and a role, and short words for what tests do there."""

    def __init__(self, sandbox, profile, name):
        self.sandbox, self.profile, self.bucket = sandbox, profile, f"{profile}-{name}"
        self.sagemaker, self.s3 = sandbox.client("sagemaker", profile), sandbox.client("s3", profile)
        self.s3.create_bucket(Bucket=self.bucket)
        self.role = self.make_role(f"{name}-pipelines", "s3:*", "sagemaker:*", "iam:PassRole", "lambda:*")

    def make_role(self, name, *actions):
        iam = self.sandbox.client("iam", self.profile)
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [TRUST]}))["Role"]["Arn"]
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        return arn

    def write(self, key, text):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())
        return f"s3://{self.bucket}/{key}"

    def read(self, uri):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def create(self, name, *steps, parameters=(), **more):
        text = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": list(parameters), "PipelineExperimentConfig": None, "Steps": list(steps)})
        return self.sagemaker.create_pipeline(PipelineName=name, RoleArn=self.role, PipelineDefinition=text, **more)["PipelineArn"]

    def start(self, name, **values):
        given = [{"Name": key, "Value": value} for key, value in values.items()]
        return self.sagemaker.start_pipeline_execution(PipelineName=name, PipelineParameters=given)["PipelineExecutionArn"]

    def steps(self, arn):
        listed = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")["PipelineExecutionSteps"]
        return {step["StepName"]: step for step in listed}

    def finish(self, arn, seconds=60):
        wait_for(lambda: self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] in OVER, seconds)
        return self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn), self.steps(arn)

    def run(self, name, *steps, parameters=(), **values):
        self.create(name, *steps, parameters=parameters)
        return self.finish(self.start(name, **values))

    def script(self, name, text):
        return self.write(f"code/{name}/script.py", text)

    def processing(self, name, script="", arguments=(), inputs=(), outputs=(), image=SKLEARN, role=None, count=1, env=None, seconds=300, **more):
        uri = self.script(f"{self.bucket}-{name}", script)
        return {"Name": name, "Type": "Processing", **more, "Arguments": {
            "AppSpecification": {"ImageUri": image, "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/script.py"], **({"ContainerArguments": list(arguments)} if arguments else {})},
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": count, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}},
            "ProcessingInputs": [*inputs, s3_input("code", uri, "/opt/ml/processing/input/code")],
            "ProcessingOutputConfig": {"Outputs": [self.output(output) for output in outputs]},
            "Environment": env or {},
            "RoleArn": role or self.role,
            "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
        }}

    def output(self, name):
        uri = {"Std:Join": {"On": "/", "Values": ["s3:/", self.bucket, {"Get": "Execution.PipelineExecutionId"}, name]}}
        return {"OutputName": name, "S3Output": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": "EndOfJob"}}

    def training(self, name, train, image=XGBOOST, validation=None, **hyperparameters):
        channels = {"train": train, "validation": validation} if validation else {"train": train}
        return {"Name": name, "Type": "Training", "Arguments": {
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
            "HyperParameters": {"objective": "binary:logistic", "eval_metric": "auc", "num_round": "5", **hyperparameters},
            "InputDataConfig": [{"ChannelName": channel, "ContentType": "text/csv", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}}} for channel, uri in channels.items()],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "RoleArn": self.role,
            "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        }}

    def function(self, name, text, **more):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("index.py", text)
        created = {"Runtime": "python3.12", "Handler": "index.handler", "Timeout": 10, **more}
        return self.sandbox.client("lambda", self.profile).create_function(FunctionName=name, Role=self.role, Code={"ZipFile": buffer.getvalue()}, **created)["FunctionArn"]


def s3_input(name, uri, path, **more):
    return {"InputName": name, "S3Input": {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File", **more}}


def wait_for(happened, seconds=60):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"nothing happened within {seconds} s"
        time.sleep(0.02)


def condition(name, conditions, if_steps=(), else_steps=()):
    return {"Name": name, "Type": "Condition", "Arguments": {"Conditions": conditions, "IfSteps": list(if_steps), "ElseSteps": list(else_steps)}}


def fail(name, message):
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def statuses(steps):
    return {name: step["StepStatus"] for name, step in steps.items()}


def processes_with(text):
    """Process ids of everything whose command line holds the text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


@pytest.fixture
def dev(sandbox, name):
    return Account(sandbox, "dev", name)


@pytest.fixture
def rows(dev):
    return dev.write("train/part-0.csv", "\n".join(f"{i % 2},{i % 2 + i / 100:.2f},{i % 7}" for i in range(100)))


# Processing


def test_a_processing_step_gets_its_files_variables_and_credentials(dev, name):
    data = [dev.write("data/a.csv", "1"), dev.write("data/deep/b.csv", "2")]
    step = dev.processing("Preprocess", """
import json, os, sys
import boto3, pandas
config = json.load(open("/opt/ml/config/processingjobconfig.json"))
report = {
    "files": sorted(os.path.relpath(os.path.join(folder, file), "/opt/ml/processing/data") for folder, _, files in os.walk("/opt/ml/processing/data") for file in files),
    "hosts": json.load(open("/opt/ml/config/resourceconfig.json"))["hosts"],
    "job": config["ProcessingJobName"],
    "seed": os.environ["SEED"],
    "arguments": sys.argv[1:],
    "caller": boto3.client("sts").get_caller_identity()["Arn"],
    "others": [key for key in os.environ if key.startswith(("MAMMO_", "MOTO_", "VIRTUAL_ENV"))],
}
json.dump(report, open("/opt/ml/processing/out/report.json", "w"))
open("/opt/ml/output/message", "w").write("done well")
print("processed", len(report["files"]), "files")
""", ["--seed", "7"], [s3_input("data", f"s3://{dev.bucket}/data/", "/opt/ml/processing/data")], ["out"], env={"SEED": "7"})
    execution, steps = dev.run(name, step)
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    job_name = steps["Preprocess"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    assert re.fullmatch(f"pipelines-{execution['PipelineExecutionArn'].rpartition('/')[2]}-Preprocess-[A-Za-z0-9]{{10}}", job_name)
    assert [job["ProcessingJobName"] for job in dev.sagemaker.list_processing_jobs(NameContains=job_name)["ProcessingJobSummaries"]] == [job_name]
    described = dev.sagemaker.describe_processing_job(ProcessingJobName=job_name)
    assert (described["ProcessingJobStatus"], described["ExitMessage"]) == ("Completed", "done well")
    report = json.loads(dev.read(described["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] + "/report.json"))
    assert report["files"] == ["a.csv", "deep/b.csv"] and len(data) == 2
    assert (report["hosts"], report["seed"], report["arguments"], report["others"]) == (["algo-1"], "7", ["--seed", "7"], [])
    assert report["job"] == job_name
    assert report["caller"].startswith(dev.role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/"))


def test_output_lines_are_in_cloudwatch_logs(dev, name, sandbox):
    _, steps = dev.run(name, dev.processing("Talk", "import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)"))
    logs, prefix = sandbox.client("logs"), steps["Talk"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    group = "/aws/sagemaker/ProcessingJobs"
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    stream = next(s["logStreamName"] for s in streams if s["logStreamName"].startswith(prefix + "/algo-1-"))
    events = logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
    assert [event["message"] for event in events] == ["to stdout", "to stderr"]


@pytest.mark.parametrize(("script", "reason"), [
    ("raise SystemExit(3)", "ClientError: AlgorithmError: See job logs for more information, exit code: 3"),
    ("open('/opt/ml/output/message', 'w').write('found no rows'); raise ValueError", "ClientError: AlgorithmError: found no rows, exit code: 1"),
    ("import os; os.kill(os.getpid(), 11)", "ClientError: AlgorithmError: The container was killed by signal SIGSEGV, exit code: 139"),
    ("import xgboost", "ClientError: AlgorithmError: See job logs for more information, exit code: 1"),
    ("import mammo_mlops", "ClientError: AlgorithmError: See job logs for more information, exit code: 1"),
])
def test_a_script_that_fails_fails_its_step(dev, name, script, reason):
    execution, steps = dev.run(name, dev.processing("Break", script), dev.processing("Next", DependsOn=["Break"]))
    assert (execution["PipelineExecutionStatus"], execution["FailureReason"]) == ("Failed", "Step failure: One or multiple steps failed.")
    assert (statuses(steps), steps["Break"]["FailureReason"]) == ({"Break": "Failed"}, reason)


def test_an_unknown_image_fails_its_step_and_says_which_are_known(dev, name):
    _, steps = dev.run(name, dev.processing("Odd", image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.4-gpu-py311"))
    reason = steps["Odd"]["FailureReason"]
    assert reason.startswith("ClientError: No stand-in for the image '763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.4-gpu-py311'; known are")
    assert "sagemaker-xgboost:<version>" in reason


def test_what_the_role_may_not_do_fails_the_step(dev, name):
    poor = dev.make_role(f"{name}-poor", "logs:*")
    _, steps = dev.run(name, dev.processing("Poor", role=poor))
    assert "s3:ListBucket" in steps["Poor"]["FailureReason"] and "is not authorized to perform" in steps["Poor"]["FailureReason"]
    foreign = dev.role.replace(dev.sandbox.account("dev"), dev.sandbox.account("prod"))
    _, steps = dev.run(f"{name}-2", dev.processing("Foreign", role=foreign))
    assert "Cross-account pass role is not allowed" in steps["Foreign"]["FailureReason"]


def test_inputs_that_are_not_there_fail_the_step(dev, name):
    _, steps = dev.run(name, dev.processing("Empty", inputs=[s3_input("data", f"s3://{dev.bucket}/nothing", "/opt/ml/processing/data")]))
    assert steps["Empty"]["FailureReason"].startswith(f'ClientError: No S3 objects found under S3 URL "s3://{dev.bucket}/nothing" given in input data source.')


def test_instances_share_sharded_inputs(dev, name):
    for letter in "abc":
        dev.write(f"parts/{letter}.csv", letter)
    script = "import json, os\nhost = json.load(open('/opt/ml/config/resourceconfig.json'))['current_host']\nfor f in os.listdir('/opt/ml/processing/data'): open(f'/opt/ml/processing/out/{f}', 'w').write(host)"
    data = s3_input("data", f"s3://{dev.bucket}/parts/", "/opt/ml/processing/data", S3DataDistributionType="ShardedByS3Key")
    step = dev.processing("Shards", script, inputs=[data], outputs=["out"], count={"Get": "Parameters.Count"})
    execution, steps = dev.run(name, step, parameters=[{"Name": "Count", "Type": "Integer", "DefaultValue": 1}], Count="2")
    assert statuses(steps) == {"Shards": "Succeeded"}, steps
    folder = f"s3://{dev.bucket}/{execution['PipelineExecutionArn'].rpartition('/')[2]}/out"
    assert [dev.read(f"{folder}/{letter}.csv") for letter in "abc"] == [b"algo-1", b"algo-2", b"algo-1"]


def test_a_job_that_takes_too_long_is_stopped(dev, name):
    _, steps = dev.run(name, dev.processing("Late", "import time; time.sleep(60)", seconds=1))
    assert steps["Late"]["StepStatus"] == "Failed"
    assert "longer than its MaxRuntimeInSeconds of 1" in steps["Late"]["FailureReason"]


# Training


def test_xgboost_trains_in_algorithm_mode(dev, name, rows):
    execution, steps = dev.run(name, dev.training("Train", f"s3://{dev.bucket}/train", validation=f"s3://{dev.bucket}/train"))
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    job = dev.sagemaker.describe_training_job(TrainingJobName=steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2])
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    assert {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]} == {"train:auc": 1.0, "validation:auc": 1.0}
    artifact = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifact == f"s3://{dev.bucket}/models/{job['TrainingJobName']}/output/model.tar.gz"
    with tarfile.open(fileobj=io.BytesIO(dev.read(artifact))) as archive:
        assert archive.getnames() == ["xgboost-model"]


@pytest.mark.parametrize(("hyperparameters", "reason"), [
    ({"max_depth": "deep"}, "Hyperparameter max_depth: could not parse value"),
    ({"depth": "3"}, "Extraneous hyperparameter found: depth"),
    ({"objective": "binary:logistik"}, "binary:logistik"),
])
def test_training_fails_in_the_containers_words(dev, name, rows, hyperparameters, reason):
    _, steps = dev.run(name, dev.training("Train", f"s3://{dev.bucket}/train", **hyperparameters))
    found = steps["Train"]["FailureReason"]
    assert steps["Train"]["StepStatus"] == "Failed" and found.startswith("ClientError: AlgorithmError: framework error:") and reason in found


def test_training_data_with_a_header_is_refused(dev, name):
    dev.write("train/part.csv", "severity,age\n1,55\n")
    _, steps = dev.run(name, dev.training("Train", f"s3://{dev.bucket}/train"))
    assert "Non-numeric value 'severity' found in the header line" in steps["Train"]["FailureReason"]


def test_a_training_script_runs_by_its_entrypoint(dev, name, rows):
    step = dev.training("Train", f"s3://{dev.bucket}/train")
    command = "ls /opt/ml/input/data/train > /opt/ml/model/listing; echo \"loss=0.25;\"; test -n \"$TRAINING_JOB_NAME\""
    step["Arguments"]["AlgorithmSpecification"] |= {"ContainerEntrypoint": ["/bin/bash"], "ContainerArguments": ["-c", command], "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}]}
    execution, steps = dev.run(name, step)
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    described = dev.sagemaker.describe_training_job(TrainingJobName=steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2])
    assert described["FinalMetricDataList"][0]["Value"] == 0.25
    with tarfile.open(fileobj=io.BytesIO(dev.read(described["ModelArtifacts"]["S3ModelArtifacts"]))) as archive:
        assert archive.extractfile("listing").read() == b"part-0.csv\n"


def test_a_pipeline_of_older_days_runs(dev, name, rows):
    """Image 1.0-1, scripts with hard-coded paths, a model loaded with pickle from the extracted archive."""
    preprocess = dev.processing("PreProcess", "import pandas as pd\nd = pd.read_csv('/opt/ml/processing/input/part-0.csv', header=None)\nfor n in ('train', 'test'): d.to_csv(f'/opt/ml/processing/{n}/{n}.csv', header=False, index=False)", inputs=[s3_input("input-1", f"s3://{dev.bucket}/train/", "/opt/ml/processing/input")], outputs=["train", "test"])
    preprocess["Arguments"]["ProcessingInputs"][1]["S3Input"]["LocalPath"] = "/opt/ml/processing/input/code"
    train = dev.training("Train", {"Get": "Steps.PreProcess.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}, OLD_XGBOOST)
    evaluate = dev.processing("Evaluate", """
import json, pickle, tarfile
import pandas as pd, xgboost
tarfile.open("/opt/ml/processing/model/model.tar.gz").extractall(filter="data")
model = pickle.load(open("xgboost-model", "rb"))
d = pd.read_csv("/opt/ml/processing/test/test.csv", header=None)
p = model.predict(xgboost.DMatrix(d.iloc[:, 1:].values))
auc = float(((p > 0.5) == d[0]).mean())
json.dump({"classification_metrics": {"auc": {"value": auc}}}, open("/opt/ml/processing/evaluation/evaluation.json", "w"))
""", inputs=[s3_input("model", {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}, "/opt/ml/processing/model"), s3_input("test", {"Get": "Steps.PreProcess.ProcessingOutputConfig.Outputs['test'].S3Output.S3Uri"}, "/opt/ml/processing/test")], outputs=["evaluation"], image=OLD_XGBOOST)
    evaluate["PropertyFiles"] = [{"PropertyFileName": "Report", "OutputName": "evaluation", "FilePath": "evaluation.json"}]
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Report"}, "Path": "classification_metrics.auc.value"}}
    check = condition("Check", [{"Type": "GreaterThan", "LeftValue": value, "RightValue": {"Get": "Parameters.Threshold"}}], [], [fail("TooLow", {"Std:Join": {"On": " ", "Values": ["AUC <=", {"Get": "Parameters.Threshold"}]}})])
    dev.create(name, check, evaluate, train, preprocess, parameters=[{"Name": "Threshold", "Type": "Float", "DefaultValue": 0.75}])
    execution, steps = dev.finish(dev.start(name))
    assert statuses(steps) == {"PreProcess": "Succeeded", "Train": "Succeeded", "Evaluate": "Succeeded", "Check": "Succeeded"}, steps
    execution, steps = dev.finish(dev.start(name, Threshold="1.5"))
    assert (execution["PipelineExecutionStatus"], steps["TooLow"]["FailureReason"], steps["Check"]["Metadata"]) == ("Failed", "AUC <= 1.5", {"Condition": {"Outcome": "False"}})


# Conditions, references


@pytest.mark.parametrize(("given", "outcome"), [
    ({"Type": "Equals", "LeftValue": {"Get": "Parameters.Word"}, "RightValue": "yes"}, True),
    ({"Type": "GreaterThan", "LeftValue": {"Get": "Parameters.Number"}, "RightValue": 3}, False),
    ({"Type": "GreaterThanOrEqualTo", "LeftValue": {"Get": "Parameters.Number"}, "RightValue": 3}, True),
    ({"Type": "LessThan", "LeftValue": {"Get": "Parameters.Number"}, "RightValue": 3.5}, True),
    ({"Type": "LessThanOrEqualTo", "LeftValue": {"Get": "Parameters.Number"}, "RightValue": 2}, False),
    ({"Type": "In", "QueryValue": {"Get": "Parameters.Word"}, "Values": ["no", "yes"]}, True),
    ({"Type": "Not", "Condition": {"Type": "Equals", "LeftValue": {"Get": "Parameters.Word"}, "RightValue": "yes"}}, False),
    ({"Type": "Or", "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 2}, {"Type": "Equals", "LeftValue": True, "RightValue": True}]}, True),
])
def test_conditions_take_one_branch(dev, name, given, outcome):
    parameters = [{"Name": "Word", "Type": "String", "DefaultValue": "yes"}, {"Name": "Number", "Type": "Integer", "DefaultValue": 3}]
    yes, no = fail("Yes", "yes"), fail("No", "no")
    _, steps = dev.run(name, condition("Check", [given], [yes], [no]), parameters=parameters)
    assert steps["Check"]["Metadata"]["Condition"]["Outcome"] == str(outcome)
    assert list(steps) == ["Check", "Yes" if outcome else "No"]


def test_values_of_different_types_can_not_be_compared(dev, name):
    _, steps = dev.run(name, condition("Check", [{"Type": "GreaterThan", "LeftValue": "0.9", "RightValue": 0.75}]))
    assert steps["Check"]["StepStatus"] == "Failed"
    assert steps["Check"]["FailureReason"].startswith("Condition of type [GreaterThan] not supported between [0.9] of type")


def test_a_json_path_that_is_not_there_fails_the_step_that_needs_it(dev, name):
    uri = dev.write("report.json", '{"auc": 0.9}')
    path = {"Std:JsonGet": {"S3Uri": {"Std:Join": {"On": "/", "Values": [uri.rpartition("/")[0], "report.json"]}}, "Path": "metrics.auc"}}
    _, steps = dev.run(name, condition("Check", [{"Type": "GreaterThan", "LeftValue": path, "RightValue": 0.75}]))
    assert steps["Check"]["FailureReason"] == "ClientError: Invalid json path 'metrics.auc'"


def test_an_empty_fail_message_gives_no_reason(dev, name):
    execution, steps = dev.run(name, fail("Stop", ""))
    assert execution["PipelineExecutionStatus"] == "Failed" and "FailureReason" not in steps["Stop"]


# Order


def test_branches_without_a_path_between_them_run_side_by_side(dev, name):
    script = "import time; time.sleep(1)"
    _, steps = dev.run(name, dev.processing("Left", script), dev.processing("Right", script), dev.processing("Last", DependsOn=["Left", "Right"]))
    assert statuses(steps) == dict.fromkeys(("Left", "Right", "Last"), "Succeeded")
    assert max(steps[side]["StartTime"] for side in ("Left", "Right")) < min(steps[side]["EndTime"] for side in ("Left", "Right"))
    assert steps["Last"]["StartTime"] >= max(steps[side]["EndTime"] for side in ("Left", "Right"))


def test_parallelism_can_be_limited(dev, name):
    dev.create(name, *(dev.processing(f"Step{number}", "import time; time.sleep(0.3)") for number in range(3)), ParallelismConfiguration={"MaxParallelExecutionSteps": 1})
    _, steps = dev.finish(dev.start(name))
    spans = sorted((step["StartTime"], step["EndTime"]) for step in steps.values())
    assert all(ended <= started for (_, ended), (started, _) in zip(spans, spans[1:]))


def test_a_failure_lets_running_steps_finish_and_starts_no_more(dev, name):
    slow = dev.processing("Slow", "import time; time.sleep(1)")
    execution, steps = dev.run(name, slow, fail("Stop", "enough"), dev.processing("After", DependsOn=["Slow"]))
    assert (execution["PipelineExecutionStatus"], statuses(steps)) == ("Failed", {"Slow": "Succeeded", "Stop": "Failed"})


def test_a_step_can_wait_for_a_failure(dev, name):
    rescue = dev.processing("Rescue", DependsOn=[{"Step": "Break", "Trigger": "Failed"}])
    execution, steps = dev.run(name, dev.processing("Break", "raise SystemExit(1)"), rescue)
    assert (execution["PipelineExecutionStatus"], statuses(steps)) == ("CompletedWithFailures", {"Break": "Failed", "Rescue": "Succeeded"})


def test_a_failure_that_nobody_waits_for_ends_the_execution(dev, name):
    rescue = dev.processing("Rescue", DependsOn=[{"Step": "Break", "Trigger": "Any"}])
    broken, slow = dev.processing("Break", "raise SystemExit(1)"), dev.processing("Slow", "import time; time.sleep(1)")
    after, unrelated = dev.processing("After", DependsOn=["Rescue"]), dev.processing("Unrelated", DependsOn=["Slow"])
    execution, steps = dev.run(name, broken, rescue, after, slow, unrelated)
    assert execution["PipelineExecutionStatus"] == "CompletedWithFailures" and statuses(steps)["Unrelated"] == "Succeeded"
    execution, steps = dev.run(f"{name}-twice", broken, rescue, after, slow, unrelated, fail("Stop", "enough"))
    assert execution["PipelineExecutionStatus"] == "Failed" and "Unrelated" not in steps


def test_a_scripts_own_failure_is_not_retried(dev, name):
    policy = [{"ExceptionType": ["Step.SERVICE_FAULT", "SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "BackoffRate": 2.0, "MaxAttempts": 3}]
    _, steps = dev.run(name, dev.processing("Break", "raise SystemExit(1)", RetryPolicies=policy))
    assert (steps["Break"]["StepStatus"], steps["Break"]["AttemptCount"]) == ("Failed", 1)


def test_the_same_inputs_are_a_cache_hit(dev, name):
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"}, "outputs": ["out"]}
    dev.create(name, dev.processing("Once", "open('/opt/ml/processing/out/x', 'w').write('1')", ["--seed", {"Get": "Parameters.Seed"}], **cached), parameters=[{"Name": "Seed", "Type": "String", "DefaultValue": "7"}])
    first = dev.start(name)
    _, original = dev.finish(first)
    _, again = dev.finish(dev.start(name))
    assert again["Once"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
    assert again["Once"]["Metadata"] == original["Once"]["Metadata"]
    _, other = dev.finish(dev.start(name, Seed="8"))
    assert "CacheHitResult" not in other["Once"]


# Models, functions, quality checks


def test_a_model_is_registered_across_accounts_only_with_a_policy(dev, name, group, shared_group, rows):
    assert group == shared_group
    specification = {"Containers": [{"Image": XGBOOST, "Environment": {}, "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}], "SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    register = {"Name": "RegisterModel", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": group, "InferenceSpecification": specification, "ModelApprovalStatus": {"Get": "Parameters.Status"}, "SkipModelValidation": "None"}}
    create = {"Name": "CreateModel", "Type": "Model", "Arguments": {"ExecutionRoleArn": dev.role, "PrimaryContainer": specification["Containers"][0]}}
    train = dev.training("Train", f"s3://{dev.bucket}/train")
    parameters = [{"Name": "Status", "Type": "String", "DefaultValue": "PendingManualApproval", "EnumValues": ["PendingManualApproval", "Approved"]}]
    dev.create(name, register, create, train, parameters=parameters)
    execution, steps = dev.finish(dev.start(name))
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    version = dev.sagemaker.describe_model_package(ModelPackageName=steps["RegisterModel"]["Metadata"]["RegisterModel"]["Arn"])
    assert (version["ModelPackageVersion"], version["ModelApprovalStatus"]) == (1, "PendingManualApproval")
    models = dev.sagemaker.list_models(NameContains=execution["PipelineExecutionArn"].rpartition("/")[2])["Models"]
    assert [model["ModelArn"] for model in models] == [steps["CreateModel"]["Metadata"]["Model"]["Arn"]]
    model = dev.sagemaker.describe_model(ModelName=models[0]["ModelName"])
    assert model["PrimaryContainer"]["ModelDataUrl"].endswith("/output/model.tar.gz")
    dev.sandbox.client("sagemaker", "registry").delete_model_package_group_policy(ModelPackageGroupName=group.rpartition("/")[2])
    execution, steps = dev.finish(dev.start(name))
    assert steps["RegisterModel"]["StepStatus"] == "Failed"
    assert "is not authorized to perform: sagemaker:CreateModelPackage" in steps["RegisterModel"]["FailureReason"]
    assert "because no resource-based policy allows" in steps["RegisterModel"]["FailureReason"]


def test_a_lambda_step_passes_values_on(dev, name):
    arn = dev.function(name, "import boto3\ndef handler(event, context):\n    boto3.client('s3').list_objects_v2(Bucket=event['bucket'])\n    return {'word': event['bucket'].upper(), 'number': 3, 'ready': True}\n")
    ask = {"Name": "Ask", "Type": "Lambda", "FunctionArn": arn, "Arguments": {"bucket": dev.bucket}, "OutputParameters": [{"OutputName": key, "OutputType": kind} for key, kind in (("word", "String"), ("number", "Integer"), ("ready", "Boolean"))]}
    said = {"Std:Join": {"On": " ", "Values": [{"Get": f"Steps.Ask.OutputParameters['{key}']"} for key in ("word", "number", "ready")]}}
    _, steps = dev.run(name, ask, fail("Say", said))
    assert steps["Say"]["FailureReason"] == f"{dev.bucket.upper()} 3 true", steps
    assert steps["Ask"]["Metadata"]["Lambda"]["OutputParameters"] == [{"Name": "word", "Value": dev.bucket.upper()}, {"Name": "number", "Value": "3"}, {"Name": "ready", "Value": "true"}]


@pytest.mark.parametrize(("text", "more", "reason"), [
    ("def handler(event, context): raise ValueError('no approved version')", {}, "returned an error: ValueError: no approved version"),
    ("def handler(event, context): return {'other': 1}", {}, "has no usable 'word': found None"),
    ("def main(event, context): return {}", {}, "Handler 'handler' missing on module 'index'"),
    ("import time\ndef handler(event, context): time.sleep(60)", {"Timeout": 1}, "Task timed out after 1.00 seconds"),
    ("import os\ndef handler(event, context): os._exit(7)", {}, "Runtime exited with error: exit status 7"),
    ("", {"Runtime": "nodejs22.x"}, "has the runtime nodejs22.x; this sandbox runs python3.x"),
])
def test_a_lambda_step_fails_with_the_functions_reason(dev, name, text, more, reason):
    ask = {"Name": "Ask", "Type": "Lambda", "FunctionArn": dev.function(name, text, **more), "Arguments": {}, "OutputParameters": [{"OutputName": "word", "OutputType": "String"}]}
    _, steps = dev.run(name, ask)
    assert steps["Ask"]["StepStatus"] == "Failed" and reason in steps["Ask"]["FailureReason"], steps


def quality_check(dev, name, data, skip, register, supplied=None, **more):
    environment = {"output_path": "/opt/ml/processing/output", "publish_cloudwatch_metrics": "Disabled", "dataset_source": "/opt/ml/processing/input/baseline_dataset_input", "dataset_format": '{"csv": {"header": true, "output_columns_position": "START"}}'}
    output = dev.output(f"{name}-output")
    output["S3Output"]["LocalPath"] = "/opt/ml/processing/output"
    parts = {f"SuppliedBaseline{part}": f"{supplied}/{part.lower()}.json" if supplied else None for part in ("Statistics", "Constraints")}
    return {"Name": name, "Type": "QualityCheck", "CheckType": "DATA_QUALITY", "ModelPackageGroupName": None, "SkipCheck": skip, "RegisterNewBaseline": register, **parts, **more, "Arguments": {
        "AppSpecification": {"ImageUri": ANALYZER},
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}},
        "ProcessingInputs": [s3_input("baseline_dataset_input", data, "/opt/ml/processing/input/baseline_dataset_input")],
        "ProcessingOutputConfig": {"Outputs": [output]},
        "Environment": environment,
        "RoleArn": dev.role,
    }}


def test_a_quality_check_makes_a_baseline_and_finds_violations(dev, name):
    lines = ["age,shape", *(f"{40 + i % 30},{1 + i % 4}" for i in range(300))]
    data = dev.write("clean/data.csv", "\n".join(lines))
    execution, steps = dev.run(name, quality_check(dev, "Baseline", data, True, True))
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    made = steps["Baseline"]["Metadata"]["QualityCheck"]
    assert made["CalculatedBaselineConstraints"] == made["BaselineUsedForDriftCheckConstraints"] and "ViolationReport" not in made
    folder = made["CalculatedBaselineConstraints"].rpartition("/")[0]
    assert {feature["name"] for feature in json.loads(dev.read(f"{folder}/constraints.json"))["features"]} == {"age", "shape"}
    odd = dev.write("odd/data.csv", "\n".join(["age,shape", *("x,1" for _ in range(300))]))
    execution, steps = dev.run(f"{name}-odd", quality_check(dev, "Check", odd, False, False, folder))
    report = steps["Check"]["Metadata"]["QualityCheck"]["ViolationReport"]
    assert steps["Check"]["FailureReason"] == f"ClientError: Quality check failed. See violation report {report}"
    assert json.loads(dev.read(report))["violations"]
    execution, steps = dev.run(f"{name}-tolerated", quality_check(dev, "Check", odd, False, False, folder, FailOnViolation=False))
    assert execution["PipelineExecutionStatus"] == "Succeeded" and steps["Check"]["Metadata"]["QualityCheck"]["ViolationReport"]
    execution, steps = dev.run(f"{name}-clean", quality_check(dev, "Check", data, False, False, folder))
    assert execution["PipelineExecutionStatus"] == "Succeeded" and "ViolationReport" not in steps["Check"]["Metadata"]["QualityCheck"], steps


def test_a_quality_check_uses_the_baseline_of_the_latest_approved_version(dev, name, group, shared_group):
    assert group == shared_group
    data = dev.write("clean/data.csv", "\n".join(["age", *(str(40 + i % 30) for i in range(300))]))
    _, steps = dev.run(name, quality_check(dev, "Baseline", data, True, True))
    made = steps["Baseline"]["Metadata"]["QualityCheck"]
    uris = {part: {"ContentType": "application/json", "S3Uri": made[f"CalculatedBaseline{part}"]} for part in ("Statistics", "Constraints")}
    arn = dev.sagemaker.create_model_package(ModelPackageGroupName=group, DriftCheckBaselines={"ModelDataQuality": uris})["ModelPackageArn"]
    check = quality_check(dev, "Check", data, False, False, ModelPackageGroupName=group)
    _, steps = dev.run(f"{name}-waiting", check)
    assert "No previous baseline was found" in steps["Check"]["FailureReason"]
    dev.sandbox.client("sagemaker", "registry").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    execution, steps = dev.run(f"{name}-approved", check)
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    assert steps["Check"]["Metadata"]["QualityCheck"]["BaselineUsedForDriftCheckConstraints"] == uris["Constraints"]["S3Uri"]


def test_a_quality_check_shows_its_job_while_it_runs(dev, name):
    data = dev.write("clean/data.csv", "age\n" + "1\n" * 100)
    missing = quality_check(dev, "Check", data + "-not-there", True, True)
    _, steps = dev.run(name, missing)
    shown = steps["Check"]["Metadata"]
    assert set(shown) == {"QualityCheck"} and ":processing-job/" in shown["QualityCheck"]["CheckJobArn"]


def test_a_quality_check_needs_a_previous_baseline(dev, name):
    data = dev.write("clean/data.csv", "age\n1\n2\n")
    _, steps = dev.run(name, quality_check(dev, "Check", data, False, True))
    assert "No previous baseline was found" in steps["Check"]["FailureReason"]


# Definitions that are refused


def refusal(call, **request):
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(("steps", "parameters", "problem"), [
    ([{"Name": "Odd", "Type": "Callback"}], [], "Step 'Odd': the step type 'Callback' is not supported here; supported are Condition, Fail, Lambda"),
    ([{"Name": "Batch", "Type": "Transform", "Arguments": {}}], [], "Step 'Batch': Arguments.ModelName is missing; a step of type Transform needs it so"),
    ([fail("A", {"Get": "Steps.B.X"})], [], "Step 'A': the reference 'Steps.B.X' names nothing in this pipeline"),
    ([fail("A", {"Get": "Parameters.P"})], [], "Step 'A': the reference 'Parameters.P' names nothing in this pipeline"),
    ([fail("A", {"Get": "Execution.Name"})], [], "Step 'A': the reference 'Execution.Name' names nothing"),
    ([fail("A", "x"), condition("C", [], [fail("A", "y")])], [], "found more than once: A"),
    ([{**condition("A", []), "DependsOn": ["B"]}, {**condition("B", []), "DependsOn": ["A"]}], [], "The steps depend on each other in a cycle: "),
    ([{**condition("A", []), "DependsOn": ["Z"]}], [], "Step 'A': DependsOn names 'Z'; the steps are A"),
    ([fail("F", "x"), {**condition("A", []), "DependsOn": ["F"]}], [], "Step 'A': it depends on 'F'; a step of type Fail can not be a dependency"),
    ([{**condition("A", []), "RetryPolicies": [{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 1}]}], [], "Step 'A': RetryPolicies are not supported for a step of type Condition"),
    ([fail("bad name", "x")], [], "'bad name' must satisfy the pattern"),
    ([fail("A", "x")], [{"Name": "P", "Type": "Integer", "DefaultValue": "1"}], "Parameter 'P': found the default value '1'; expected a value of type Integer"),
    ([fail("A", "x")], [{"Name": "P", "Type": "String", "DefaultValue": "c", "EnumValues": ["a"]}], "Parameter 'P': found the default value 'c'; expected one of ['a']"),
])
def test_a_wrong_definition_is_refused(dev, name, steps, parameters, problem):
    text = json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": steps})
    code, message = refusal(dev.sagemaker.create_pipeline, PipelineName=name, RoleArn=dev.role, PipelineDefinition=text)
    assert code == "ValidationException" and problem in message
    dev.create(name, fail("A", "x"))
    assert problem in refusal(dev.sagemaker.update_pipeline, PipelineName=name, PipelineDefinition=text)[1]


@pytest.mark.parametrize(("given", "problem"), [
    ({"Threshold": "high", "Data": "x"}, "Parameter 'Threshold': found 'high'; expected a value of type Float"),
    ({"Limit": "1", "Data": "x"}, "Unknown parameters ['Limit']"),
    ({"Status": "Maybe", "Data": "x"}, "Parameter 'Status': found 'Maybe'; expected one of ['Yes', 'No']"),
    ({}, "Parameters ['Data'] have no default"),
])
def test_wrong_parameters_are_refused_at_start(dev, name, given, problem):
    dev.create(name, fail("A", "x"), parameters=[{"Name": "Threshold", "Type": "Float", "DefaultValue": 0.5}, {"Name": "Status", "Type": "String", "DefaultValue": "Yes", "EnumValues": ["Yes", "No"]}, {"Name": "Data", "Type": "String"}])
    code, message = refusal(dev.sagemaker.start_pipeline_execution, PipelineName=name, PipelineParameters=[{"Name": key, "Value": value} for key, value in given.items()])
    assert code == "ValidationException" and problem in message
    assert dev.sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"] == []


# The life of a pipeline


def test_a_pipeline_is_kept_byte_for_byte(dev, name):
    text = json.dumps({"Version": "2020-12-01", "Steps": [fail("A", "é")], "Unknown": {"kept": True}}, indent=3, ensure_ascii=False)
    arn = dev.sagemaker.create_pipeline(PipelineName=name, RoleArn=dev.role, PipelineDefinition=text, PipelineDescription="first")["PipelineArn"]
    described = dev.sagemaker.describe_pipeline(PipelineName=name)
    assert (described["PipelineArn"], described["PipelineDefinition"], described["PipelineDescription"]) == (arn, text, "first")
    assert isinstance(described["CreationTime"], datetime) and described["CreatedBy"]["IamIdentity"]["Arn"].endswith(":user/administrator")
    uri = dev.write("definition.json", text.replace("é", "other"))
    dev.sagemaker.update_pipeline(PipelineName=name, PipelineDefinitionS3Location={"Bucket": dev.bucket, "ObjectKey": uri.partition(f"{dev.bucket}/")[2]})
    assert "other" in dev.sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"]
    assert [summary["PipelineName"] for summary in dev.sagemaker.list_pipelines(PipelineNamePrefix=name)["PipelineSummaries"]] == [name]
    code, message = refusal(dev.sagemaker.create_pipeline, PipelineName=name, RoleArn=dev.role, PipelineDefinition=text)
    assert code == "ValidationException" and "Pipeline names must be unique within an AWS account and region" in message
    dev.sagemaker.delete_pipeline(PipelineName=name)
    assert refusal(dev.sagemaker.describe_pipeline, PipelineName=name)[0] == "ResourceNotFound"


def test_an_execution_keeps_what_it_began_with(dev, name):
    dev.create(name, fail("A", {"Get": "Parameters.Word"}), parameters=[{"Name": "Word", "Type": "String", "DefaultValue": "old"}, {"Name": "N", "Type": "Float", "DefaultValue": 0.5}])
    arn = dev.start(name, Word="given")
    dev.finish(arn)
    dev.sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": [fail("B", "new")]}))
    definition = dev.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)["PipelineDefinition"]
    assert json.loads(definition)["Steps"][0]["Name"] == "A"
    listed = dev.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    assert {item["Name"]: item["Value"] for item in listed} == {"Word": "given", "N": "0.5"}


def test_the_same_token_starts_one_execution(dev, name):
    dev.create(name, fail("A", "x"))
    start = lambda: dev.sagemaker.start_pipeline_execution(PipelineName=name, ClientRequestToken="t" * 40)["PipelineExecutionArn"]
    assert start() == start()
    assert len(dev.sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]) == 1


def test_an_execution_can_be_retried(dev, name):
    script = "import boto3, os; boto3.client('s3').get_object(Bucket=os.environ['BUCKET'], Key='flag')"
    dev.create(name, dev.processing("First"), dev.processing("Flagged", script, env={"BUCKET": dev.bucket}, DependsOn=["First"]))
    arn = dev.start(name)
    _, before = dev.finish(arn)
    assert statuses(before) == {"First": "Succeeded", "Flagged": "Failed"}
    dev.write("flag", "x")
    dev.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
    execution, after = dev.finish(arn)
    assert execution["PipelineExecutionStatus"] == "Succeeded" and after["First"]["EndTime"] == before["First"]["EndTime"]


# Ends that nobody planned


def test_killing_a_steps_process_fails_the_step_with_a_reason(dev, name):
    dev.create(name, dev.processing("Victim", "import time; time.sleep(100)", [f"--mark={name}"]))
    arn = dev.start(name)
    wait_for(lambda: processes_with(f"--mark={name}"))
    os.kill(processes_with(f"--mark={name}")[0], signal.SIGKILL)
    execution, steps = dev.finish(arn, 10)
    assert (execution["PipelineExecutionStatus"], steps["Victim"]["FailureReason"]) == ("Failed", "ClientError: AlgorithmError: The container was killed by signal SIGKILL, exit code: 137")


def test_stopping_an_execution_stops_its_processes(dev, name):
    script = f"import subprocess, sys; subprocess.run(['bash', '-c', 'sleep 100; : {name}'])"
    dev.create(name, dev.processing("Sleep", script), dev.processing("After", DependsOn=["Sleep"]))
    arn = dev.start(name)
    wait_for(lambda: processes_with(f"sleep 100; : {name}"))
    dev.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    execution, steps = dev.finish(arn, 10)
    assert (execution["PipelineExecutionStatus"], statuses(steps)) == ("Stopped", {"Sleep": "Stopped"})
    assert "FailureReason" not in execution
    wait_for(lambda: not processes_with(f"sleep 100; : {name}"), 5)
    assert refusal(dev.sagemaker.stop_pipeline_execution, PipelineExecutionArn=arn)[0] == "ConflictException"


def test_executions_at_once_do_not_disturb_each_other(sandbox, name):
    """Four in dev and four in prod, each writing and reading back its own word through the same paths."""
    script = "import sys, time; open('/opt/ml/processing/out/word', 'w').write(sys.argv[1]); time.sleep(0.5); open('/opt/ml/processing/out/again', 'w').write(open('/opt/ml/processing/out/word').read())"
    started = []
    for profile in ("dev", "prod"):
        account = Account(sandbox, profile, name)
        account.create(name, account.processing("Write", script, [{"Get": "Parameters.Word"}], outputs=["out"]), parameters=[{"Name": "Word", "Type": "String"}])
        started += [(account, f"{profile}-{number}", account.start(name, Word=f"{profile}-{number}")) for number in range(4)]
    for account, word, arn in started:
        execution, steps = account.finish(arn)
        assert execution["PipelineExecutionStatus"] == "Succeeded", steps
        assert account.read(f"s3://{account.bucket}/{arn.rpartition('/')[2]}/out/again").decode() == word
    dev = sandbox.client("sagemaker", "dev")
    assert refusal(dev.describe_pipeline_execution, PipelineExecutionArn=started[-1][2])[0] == "AccessDeniedException"


def test_a_job_can_not_make_the_sandbox_read_or_write_outside(dev, name, sandbox, tmp_path, rows):
    script = f"import os, shutil; shutil.rmtree('/opt/ml/processing/out'); os.symlink('{sandbox.folder}/aws', '/opt/ml/processing/out')"
    _, steps = dev.run(name, dev.processing("Link", script, outputs=["out"]))
    assert steps["Link"]["FailureReason"] == "ClientError: The output folder 'out' is behind a symbolic link; nothing of it was uploaded."
    train = dev.training("Train", f"s3://{dev.bucket}/train")
    train["Arguments"]["InputDataConfig"][0]["ChannelName"] = f"{tmp_path}/escaped"
    _, steps = dev.run(f"{name}-channel", train)
    assert "failed to satisfy constraint: Member must satisfy regular expression pattern" in steps["Train"]["FailureReason"]
    assert not (tmp_path / "escaped").exists()


def test_a_job_sees_nothing_of_other_jobs_or_of_the_sandbox(dev, name, sandbox):
    script = f"import os; assert os.listdir('{sandbox.folder}') == []; assert os.listdir('/opt/ml/processing') == ['input']"
    execution, steps = dev.run(name, dev.processing("Look", script))
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps


# Events


def test_every_change_of_status_is_an_event(dev, name, sandbox, open_queue):
    sqs, events = sandbox.client("sqs"), sandbox.client("events")
    queue, queue_arn = open_queue()
    arn = dev.create(name, fail("Stop", "enough"))
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.sagemaker"], "detail": {"pipelineArn": [arn]}}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue_arn}])
    execution = dev.start(name)
    dev.finish(execution)
    found = []
    wait_for(lambda: found.extend(sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])) or len(found) >= 5, 10)
    details = [json.loads(message["Body"]) for message in found]
    changes = [(event["detail"]["previousPipelineExecutionStatus"], event["detail"]["currentPipelineExecutionStatus"]) for event in details if event["detail-type"] == "SageMaker Model Building Pipeline Execution Status Change"]
    assert sorted(changes) == [("", "Executing"), ("Executing", "Failed")]
    steps = [event["detail"] for event in details if event["detail-type"] == "SageMaker Model Building Pipeline Execution Step Status Change"]
    assert {step["currentStepStatus"] for step in steps} == {"Starting", "Executing", "Failed"}
    last = next(step for step in steps if step["currentStepStatus"] == "Failed")
    assert (last["stepName"], last["stepType"], last["failureReason"], last["pipelineExecutionArn"]) == ("Stop", "Fail", "enough", execution)
