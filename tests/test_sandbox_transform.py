"""Batch transform over HTTP: jobs by themselves, as pipeline steps, and the sample's inference pipeline as it stands."""

import gzip
import io
import json
import os
import signal
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xgboost
from conftest import Sandbox
from test_sandbox_pipelines import XGBOOST, Account, processes_with, quality_check, refusal, statuses, wait_for

from mammo_mlops.demo.sandbox_accounts import accounts_of
from mammo_mlops.sandbox import server

DEFINITION = Path(__file__).parent / "sample_inference_pipeline.json"
OVER = ("Completed", "Failed", "Stopped")
OWN_CODE = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
ECHO = "def model_fn(folder): return None\ndef transform_fn(model, data, content_type, accept):\n    lines = data.splitlines()\n"
FEATURES = np.random.default_rng(7).normal(size=(300, 3)).round(3)


def booster():
    return xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(FEATURES, label=FEATURES[:, 0] > 0), 5)


def archive(files):
    """model.tar.gz with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def rows_of(values):
    return "".join(",".join(map(str, row)) + "\n" for row in values)


class Place(Account):
    """An account with models and transform jobs."""

    def model(self, name, content=None, image=XGBOOST, role=None, **environment):
        """A model from an archive's bytes; the usual one when none are given."""
        self.s3.put_object(Bucket=self.bucket, Key=f"{name}/model.tar.gz", Body=archive({"xgboost-model": bytes(booster().save_raw("ubj"))}) if content is None else content)
        container = {"Image": image, "ModelDataUrl": f"s3://{self.bucket}/{name}/model.tar.gz", "Environment": environment}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=role or self.role, PrimaryContainer=container)
        return name

    def code(self, name, text):
        """A model that answers with this code."""
        return self.model(name, archive({"code/inference.py": text.encode()}), **OWN_CODE)

    def request(self, model, data, kind="text/csv", split="Line", count=1, s3_type="S3Prefix", source=(), output=(), **more):
        """The arguments of a transform job."""
        return {
            "ModelName": model,
            "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": s3_type, "S3Uri": data}}, "ContentType": kind, "SplitType": split, **dict(source)},
            "TransformOutput": {"S3OutputPath": f"s3://{self.bucket}/out/{model}", "Accept": kind, "AssembleWith": split, **dict(output)},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": count},
            **more,
        }

    def create_transform(self, name, *given, **more):
        self.sagemaker.create_transform_job(TransformJobName=name, **self.request(*given, **more))

    def described(self, name):
        return self.sagemaker.describe_transform_job(TransformJobName=name)

    def transform(self, name, *given, **more):
        """Run a job to its end; what Describe says."""
        self.create_transform(name, *given, **more)
        wait_for(lambda: self.described(name)["TransformJobStatus"] in OVER)
        return self.described(name)

    def outputs(self, model):
        """Output objects' texts by name."""
        prefix = f"out/{model}/"
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {item["Key"].removeprefix(prefix): self.read(f"s3://{self.bucket}/{item['Key']}").decode() for item in listed}

    def logged(self, job):
        """Every line of the job's logs, by the kind of stream."""
        logs, group = self.sandbox.client("logs", self.profile), "/aws/sagemaker/TransformJobs"
        found = {"container": [], "data-log": []}
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return found
        for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]:
            events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)["events"]
            found["data-log" if stream["logStreamName"].endswith("/data-log") else "container"] += [event["message"] for event in events]
        return found


@pytest.fixture
def dev(sandbox, name):
    return Place(sandbox, "dev", name)


@pytest.fixture
def batch(dev):
    return dev.write("batch/batch.csv", rows_of(FEATURES[:48]))


def processing(input_filter="$", output_filter="$", join="None"):
    return {"DataProcessing": {"InputFilter": input_filter, "OutputFilter": output_filter, "JoinSource": join}}


# What a job does


def test_a_job_predicts_every_row_of_every_object_in_order(dev, name):
    dev.write("batch/a.csv", rows_of(FEATURES[:30]))
    dev.write("batch/deep/b.csv", rows_of(FEATURES[30:48]))
    described = dev.transform(name, dev.model(name), f"s3://{dev.bucket}/batch/", BatchStrategy="MultiRecord")
    assert described["TransformJobStatus"] == "Completed", described
    assert described["DataProcessing"] == {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert described["TransformJobArn"] == f"arn:aws:sagemaker:us-east-1:{dev.sandbox.account('dev')}:transform-job/{name}"
    assert described["CreationTime"] <= described["TransformStartTime"] <= described["TransformEndTime"]
    outputs = dev.outputs(name)
    assert sorted(outputs) == ["a.csv.out", "deep/b.csv.out"]
    found = [float(line) for key in sorted(outputs) for line in outputs[key].splitlines()]
    assert np.allclose(found, booster().predict(xgboost.DMatrix(FEATURES[:48])))
    logged = dev.logged(name)
    assert any("is served" in line for line in logged["container"])
    assert any(line.endswith(f"MaxConcurrentTransforms={os.cpu_count()}, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD") for line in logged["data-log"])


def test_an_exact_key_is_one_object_and_keeps_its_name(dev, name, batch):
    key = "arn:aws:kms:us-east-1:111111111111:key/11111111-2222-3333-4444-555555555555"
    assert dev.transform(name, dev.model(name), batch, output={"KmsKeyId": key})["TransformJobStatus"] == "Completed"
    head = dev.s3.head_object(Bucket=dev.bucket, Key=f"out/{name}/batch.csv.out")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)


def test_a_manifest_names_the_objects(dev, name):
    for letter in "abc":
        dev.write(f"batch/{letter}.csv", rows_of(FEATURES[:2]))
    manifest = dev.write("manifest.json", json.dumps([{"prefix": f"s3://{dev.bucket}/batch/"}, "a.csv", "c.csv"]))
    assert dev.transform(name, dev.model(name), manifest, s3_type="ManifestFile")["TransformJobStatus"] == "Completed"
    assert sorted(dev.outputs(name)) == ["a.csv.out", "c.csv.out"]


def test_gzip_is_unpacked(dev, name):
    dev.s3.put_object(Bucket=dev.bucket, Key="batch.csv.gz", Body=gzip.compress(rows_of(FEATURES[:3]).encode()))
    assert dev.transform(name, dev.model(name), f"s3://{dev.bucket}/batch.csv.gz", source={"CompressionType": "Gzip"})["TransformJobStatus"] == "Completed"
    assert len(dev.outputs(name)["batch.csv.gz.out"].splitlines()) == 3


def test_predictions_carry_their_row(dev, name):
    lines = [f'{number},"3, approved",{",".join(map(str, row))}' for number, row in enumerate(FEATURES[:48])]
    data = dev.write("batch.csv", "\r\n".join(lines) + "\r\n")
    assert dev.transform(name, dev.model(name), data, **processing("$[2:]", "$[0,1,-1]", "Input"))["TransformJobStatus"] == "Completed"
    found = [line.rsplit(",", 1) for line in dev.outputs(name)["batch.csv.out"].splitlines()]
    assert [head for head, _ in found] == [f'{number},"3, approved"' for number in range(48)]
    assert np.allclose([float(last) for _, last in found], booster().predict(xgboost.DMatrix(FEATURES[:48])))


def test_json_gets_its_output_under_a_key(dev, name):
    model = dev.code(name, ECHO + "    import json\n    return '\\n'.join(json.dumps({'sum': sum(json.loads(line))}) for line in lines)")
    lines = dev.write("things.jsonl", '{"id": 1, "x": [1, 2]}\n{"id": 2, "x": [3]}\n')
    assert dev.transform(name, model, lines, kind="application/jsonlines", **processing("$.x", "$['id','SageMakerOutput']", "Input"))["TransformJobStatus"] == "Completed"
    assert [json.loads(line) for line in dev.outputs(model)["things.jsonl.out"].splitlines()] == [{"id": 1, "SageMakerOutput": {"sum": 3}}, {"id": 2, "SageMakerOutput": {"sum": 3}}]
    whole = dev.write("thing.json", '{"id": 9, "x": [4, 5]}')
    assert dev.transform(f"{name}-2", model, whole, kind="application/json", split="None", **processing("$.x", "$", "Input"))["TransformJobStatus"] == "Completed"
    assert json.loads(dev.outputs(model)["thing.json.out"]) == {"id": 9, "x": [4, 5], "SageMakerOutput": {"sum": 9}}


def test_records_travel_alone_or_together(dev, name):
    """The code answers every record with the number of records that came with it."""
    model = dev.code(name, ECHO + "    return '\\n'.join(str(len(lines)) for _ in lines)")
    data = dev.write("numbers.csv", "".join(f"{number:09},{number:09}\n" for number in range(100_000)))
    sizes = lambda: [int(line) for line in dev.outputs(model)["numbers.csv.out"].splitlines()]
    assert dev.transform(name, model, data, MaxPayloadInMB=1)["TransformJobStatus"] == "Completed"
    assert sizes() == [52428] * 52428 + [47572] * 47572
    few = dev.write("few.csv", "1,2\n3,4\n")
    assert dev.transform(f"{name}-2", model, few, BatchStrategy="SingleRecord")["TransformJobStatus"] == "Completed"
    assert dev.outputs(model)["few.csv.out"] == "1\n1\n"


def test_the_container_sees_its_own_variables(dev, name, batch):
    model = dev.code(name, ECHO + "    import os\n    return '\\n'.join(f'{k}={v}' for k, v in os.environ.items())")
    dev.transform(name, model, batch, split="None", Environment={"SEED": "7"}, MaxPayloadInMB=2, BatchStrategy="SingleRecord", MaxConcurrentTransforms=3)
    seen = dict(line.split("=", 1) for line in dev.outputs(model)["batch.csv.out"].splitlines())
    told = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2", "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3", "SEED": "7"}
    assert {key: seen.get(key) for key in told} == told and "TRANSFORM_JOB_NAME" not in seen


def test_instances_share_the_objects(dev, name):
    model = dev.code(name, ECHO + "    import os\n    return str(os.getpid())")
    for letter in "abc":
        dev.write(f"parts/{letter}.csv", "1,2")
    assert dev.transform(name, model, f"s3://{dev.bucket}/parts/", split="None", count=2)["TransformJobStatus"] == "Completed"
    first, second, third = dev.outputs(model).values()
    assert first == third != second


def test_a_model_may_be_a_registered_version(dev, name, batch):
    dev.s3.put_object(Bucket=dev.bucket, Key="model.tar.gz", Body=archive({"xgboost-model": bytes(booster().save_raw("ubj"))}))
    dev.sagemaker.create_model_package_group(ModelPackageGroupName=name)
    specification = {"Containers": [{"Image": XGBOOST, "ModelDataUrl": f"s3://{dev.bucket}/model.tar.gz"}], "SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    version = dev.sagemaker.create_model_package(ModelPackageGroupName=name, InferenceSpecification=specification, ModelApprovalStatus="Approved")["ModelPackageArn"]
    dev.sagemaker.create_model(ModelName=name, ExecutionRoleArn=dev.role, Containers=[{"ModelPackageName": version}])
    assert dev.transform(name, name, batch)["TransformJobStatus"] == "Completed"


# How a job fails


def test_one_bad_object_fails_the_job_and_leaves_the_others(dev, name):
    dev.write("mixed/a.csv", rows_of(FEATURES[:2]))
    dev.write("mixed/b.csv", "age,shape\n1,2\n")
    dev.write("mixed/c.csv", rows_of(FEATURES[:2]))
    described = dev.transform(name, dev.model(name), f"s3://{dev.bucket}/mixed/")
    assert (described["TransformJobStatus"], described["FailureReason"]) == ("Failed", f"ClientError: See job logs for more information. 1 of 3 objects failed; {dev.bucket}/mixed/b.csv: 415")
    assert sorted(dev.outputs(name)) == ["a.csv.out", "c.csv.out"]
    assert any("Loading csv data failed" in line for line in dev.logged(name)["data-log"])


@pytest.mark.parametrize(("text", "more", "reason"), [
    ("1,2,3,4,5\n", {}, "batch.csv: 400"),
    ("1,2,3\n", {"kind": "application/json"}, "batch.csv: 415"),
    ("\n", {}, "batch.csv: The object is empty"),
    ("1,2,3\n" * 200_000, {"split": "None", "MaxPayloadInMB": 1}, "more than MaxPayloadInMB allows (1048576 bytes)"),
    ("1,0.1,0.2,0.3\n", processing("$[1:]", "$[5]", "Input"), "Record 1: JsonPath: no 5 in a list of 5"),
    ("1,2,3\n\n4,5,6\n\n", {"DataProcessing": {"JoinSource": "Input"}}, "batch.csv: 415"),
    ("1,2,3\n4,5,6\n\n", {"DataProcessing": {"JoinSource": "Input"}}, "Fail to join data: mismatched line count between the input and the output (3 and 2)"),
])
def test_data_that_does_not_fit_fails_the_job(dev, name, text, more, reason):
    data = dev.write("batch.csv", text)
    described = dev.transform(name, dev.model(name), data, **more)
    assert described["TransformJobStatus"] == "Failed" and described["FailureReason"].startswith("ClientError: See job logs for more information. 1 of 1 objects failed; ")
    assert reason in described["FailureReason"]


NO_PING = "AlgorithmError: Model container failed to respond to ping. Please ensure /ping endpoint is implemented and responds with an HTTP 200 status code: "


@pytest.mark.parametrize(("files", "environment", "reason"), [
    ({"xgboost-model": b"no model"}, {}, f"{NO_PING}RuntimeError: Model at /opt/ml/model/xgboost-model cannot be loaded"),
    ({"xgboost-model": None, "metrics.json": b"{}"}, {}, f"{NO_PING}RuntimeError: Model at /opt/ml/model/metrics.json cannot be loaded"),
    ({}, {}, f"{NO_PING}RuntimeError: No model in /opt/ml/model"),
    ({"xgboost-model": None}, {"SAGEMAKER_PROGRAM": "", "SAGEMAKER_SUBMIT_DIRECTORY": ""}, f"{NO_PING}ValueError: Empty module name, exit code: 1"),
    ({"code/inference.py": b"x = 1"}, OWN_CODE, f"{NO_PING}NotImplementedError: Please provide a model_fn implementation."),
    ({"../escape": b"x"}, {}, "ClientError: Failed to extract model data archive from URL"),
])
def test_a_model_that_can_not_be_served_fails_the_job(dev, name, batch, files, environment, reason):
    content = archive({key: bytes(booster().save_raw("ubj")) if value is None else value for key, value in files.items()})
    described = dev.transform(name, dev.model(name, content, **environment), batch)
    assert described["TransformJobStatus"] == "Failed" and described["FailureReason"].startswith(reason), described["FailureReason"]


def test_what_is_no_archive_fails_the_job(dev, name, batch):
    reason = dev.transform(name, dev.model(name, b"text"), batch)["FailureReason"]
    assert reason.startswith(f'ClientError: Failed to extract model data archive from URL "s3://{dev.bucket}/{name}/model.tar.gz". Please ensure that the object located at the URL is a valid tar.gz archive.')


def test_code_that_raises_is_the_algorithms_error(dev, name, batch):
    reason = dev.transform(name, dev.code(name, ECHO + "    1 / 0"), batch)["FailureReason"]
    assert reason == f"AlgorithmError: See job logs for more information. 1 of 1 objects failed; {dev.bucket}/batch/batch.csv: Bad HTTP status received from algorithm: 500"
    assert any("ZeroDivisionError" in line for line in dev.logged(name)["container"])


def test_a_slow_answer_is_not_awaited_for_ever(dev, name, batch):
    model = dev.code(name, ECHO + "    import time; time.sleep(30)")
    reason = dev.transform(name, model, batch, ModelClientConfig={"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0})["FailureReason"]
    assert reason.endswith("Model server did not respond to /invocations request within 1 seconds")


def test_data_and_images_that_are_not_there_fail_the_job(dev, name, batch):
    missing = dev.transform(name, dev.model(name), f"s3://{dev.bucket}/nothing")["FailureReason"]
    assert missing.startswith(f'ClientError: No S3 objects found under S3 URL "s3://{dev.bucket}/nothing"')
    unknown = dev.model(f"{name}-2", image="683313688378.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2")
    assert dev.transform(f"{name}-2", unknown, batch)["FailureReason"].startswith("ClientError: No stand-in for the image")
    blind = dev.model(f"{name}-3", role=dev.make_role(f"{name}-blind", "s3:GetObject"))
    assert "is not authorized to perform: s3:ListBucket" in dev.transform(f"{name}-3", blind, f"s3://{dev.bucket}/batch/")["FailureReason"]


def test_killing_the_container_fails_the_job_with_a_reason(dev, name, batch):
    dev.create_transform(name, dev.code(name, ECHO + f"    import subprocess; subprocess.run(['bash', '-c', 'sleep 60; : {name}'])"), batch)
    wait_for(lambda: processes_with(f"sleep 60; : {name}"))
    parent = int(Path(f"/proc/{processes_with(f'sleep 60; : {name}')[0]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: dev.described(name)["TransformJobStatus"] in OVER)
    assert dev.described(name)["FailureReason"] == "AlgorithmError: The container was killed by signal SIGKILL, exit code: 137"


def test_a_job_can_be_stopped_once(dev, name, batch):
    dev.create_transform(name, dev.code(name, ECHO + "    import time; time.sleep(60)"), batch)
    wait_for(lambda: dev.logged(name)["data-log"])
    dev.sagemaker.stop_transform_job(TransformJobName=name)
    wait_for(lambda: dev.described(name)["TransformJobStatus"] == "Stopped")
    assert "FailureReason" not in dev.described(name)
    code, message = refusal(dev.sagemaker.stop_transform_job, TransformJobName=name)
    assert (code, message) == ("ValidationException", "The request was rejected because the transform job is in status Stopped")


# What the service refuses


def test_a_request_that_can_not_work_is_refused(dev, name, batch):
    model, create = dev.model(name), dev.sagemaker.create_transform_job
    refused = lambda **more: refusal(create, TransformJobName=name, **dev.request(more.pop("model", model), batch, **more))
    account = dev.sandbox.account("dev")
    assert refused(model="none") == ("ValidationException", f'Could not find model "arn:aws:sagemaker:us-east-1:{account}:model/none".')
    for more, code, problem in [
        ({"split": "RecordIO"}, "ValidationException", "Member must satisfy enum value set: [None, Line]"),
        ({"split": "TFRecord", "output": {"AssembleWith": "None"}}, "UnsupportedOperation", "SplitType TFRecord is not supported by this sandbox"),
        ({"MaxPayloadInMB": 0}, "UnsupportedOperation", "MaxPayloadInMB 0 (streaming)"),
        ({"MaxPayloadInMB": 51, "MaxConcurrentTransforms": 2}, "ValidationException", "must not exceed 100"),
        ({"split": "None", **processing(join="Input")}, "ValidationException", "Line for text/csv"),
        ({"kind": "text/libsvm", **processing("$[1:]")}, "ValidationException", "must both be one of text/csv"),
        (processing("$.age"), "ValidationException", "a CSV row has positions only"),
        (processing("$[1:3]"), "ValidationException", "leave the end out"),
        (processing(output_filter="$[0:2,4:]"), "ValidationException", "Invalid JsonPath"),
        (processing("$" * 64), "ValidationException", "length less than or equal to 63"),
    ]:
        found, message = refused(**more)
        assert found == code and problem in message, message
    assert dev.sagemaker.list_transform_jobs(NameContains=name)["TransformJobSummaries"] == []


def test_jobs_are_listed_and_their_names_are_taken(dev, name, batch):
    model = dev.model(name)
    for number in range(3):
        dev.transform(f"{name}-{number}", model, batch)
    page = dev.sagemaker.list_transform_jobs(NameContains=name, SortBy="Name", SortOrder="Ascending", MaxResults=2)
    assert [job["TransformJobName"] for job in page["TransformJobSummaries"]] == [f"{name}-0", f"{name}-1"]
    rest = dev.sagemaker.list_transform_jobs(NameContains=name, SortBy="Name", SortOrder="Ascending", NextToken=page["NextToken"])["TransformJobSummaries"]
    assert [(job["TransformJobName"], job["TransformJobStatus"], "LastModifiedTime" in job) for job in rest] == [(f"{name}-2", "Completed", True)]
    assert dev.sagemaker.list_transform_jobs(NameContains=name, StatusEquals="Failed")["TransformJobSummaries"] == []
    last = dev.described(f"{name}-2")["CreationTime"]
    assert [job["TransformJobName"] for job in dev.sagemaker.list_transform_jobs(NameContains=name, CreationTimeAfter=last)["TransformJobSummaries"]] == [f"{name}-2"]
    assert refusal(dev.sagemaker.create_transform_job, TransformJobName=f"{name}-0", **dev.request(model, batch))[0] == "ResourceInUse"
    assert "Could not find requested job with name: none" in refusal(dev.sagemaker.describe_transform_job, TransformJobName="none")[1]


# Steps


def transform_step(dev, name, model, data, depends=(), **more):
    own = {key: more.pop(key) for key in ("CacheConfig", "RetryPolicies") if key in more}
    return {"Name": name, "Type": "Transform", "Arguments": dev.request(model, data, **more), "DependsOn": list(depends), **own}


def test_a_transform_step_shows_its_job_and_its_outputs(dev, name, batch):
    retry = {"RetryPolicies": [{"ExceptionType": ["SageMaker.CAPACITY_ERROR"], "MaxAttempts": 2}]}
    container = {"Image": XGBOOST, "ModelDataUrl": f"s3://{dev.bucket}/{dev.model(name)}/model.tar.gz"}
    create = {"Name": "CreateModel", "Type": "Model", "Arguments": {"ExecutionRoleArn": dev.role, "PrimaryContainer": container}}
    step = transform_step(dev, "Predict", name, batch, **retry)
    step["Arguments"]["ModelName"] = {"Get": "Steps.CreateModel.ModelName"}
    read = dev.processing("Read", "import sys\nassert sys.argv[1].endswith('/out/' + sys.argv[2]) and 'Predict' in sys.argv[3], sys.argv", [{"Get": "Steps.Predict.TransformOutput.S3OutputPath"}, name, {"Get": "Steps.Predict.TransformJobName"}])
    execution, steps = dev.run(name, create, step, read)
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    arn = steps["Predict"]["Metadata"]["TransformJob"]["Arn"]
    assert dev.described(arn.rpartition("/")[2])["TransformJobArn"] == arn
    print(f"{(steps['Predict']['EndTime'] - steps['Predict']['StartTime']).total_seconds():.3f} s for a transform step of 48 rows")


def test_the_same_transform_is_a_cache_hit(dev, name, batch):
    step = transform_step(dev, "Predict", dev.model(name), batch, CacheConfig={"Enabled": True, "ExpireAfter": "P1D"})
    step["Arguments"]["TransformOutput"]["S3OutputPath"] = {"Std:Join": {"On": "/", "Values": ["s3:/", dev.bucket, {"Get": "Execution.PipelineExecutionId"}]}}
    dev.create(name, step)
    first = dev.start(name)
    _, original = dev.finish(first)
    _, again = dev.finish(dev.start(name))
    assert again["Predict"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
    assert again["Predict"]["Metadata"] == original["Predict"]["Metadata"]


def test_a_transform_step_fails_in_the_services_words(dev, name, batch):
    _, steps = dev.run(name, transform_step(dev, "Predict", "none", batch))
    assert steps["Predict"]["FailureReason"] == f'ClientError: Failed to invoke sagemaker:CreateTransformJob. Error Details: Could not find model "arn:aws:sagemaker:us-east-1:{dev.sandbox.account("dev")}:model/none".'
    broken = dev.code(name, ECHO + "    1 / 0")
    _, steps = dev.run(f"{name}-2", transform_step(dev, "Predict", broken, batch))
    assert steps["Predict"]["FailureReason"].startswith("ClientError: AlgorithmError: See job logs for more information. 1 of 1 objects failed")


def test_stopping_an_execution_stops_its_transform(dev, name, batch):
    dev.create(name, transform_step(dev, "Predict", dev.code(name, ECHO + "    import time; time.sleep(60)"), batch))
    arn = dev.start(name)
    wait_for(lambda: "TransformJob" in dev.steps(arn).get("Predict", {}).get("Metadata", {}))
    dev.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    execution, steps = dev.finish(arn, 10)
    assert (execution["PipelineExecutionStatus"], statuses(steps)) == ("Stopped", {"Predict": "Stopped"})


# Steps that wait for a failure


def monitored(dev, name, batch, select="", monitor="raise SystemExit(1)"):
    """MonitorBatch -> SelectRows, however it ended -> Transform."""
    after = [{"Step": "MonitorBatch", "Trigger": "Any"}]
    steps = [dev.processing("MonitorBatch", monitor), dev.processing("SelectRows", select, DependsOn=after), transform_step(dev, "Transform", dev.model(name), batch, ["SelectRows"])]
    execution, shown = dev.run(name, *steps)
    return execution["PipelineExecutionStatus"], statuses(shown)


def test_a_failure_that_was_waited_for_completes_with_failures(dev, name, batch):
    assert monitored(dev, name, batch) == ("CompletedWithFailures", {"MonitorBatch": "Failed", "SelectRows": "Succeeded", "Transform": "Succeeded"})


def test_nothing_failed_succeeds(dev, name, batch):
    assert monitored(dev, name, batch, monitor="")[0] == "Succeeded"


def test_a_follower_that_fails_fails_the_execution(dev, name, batch):
    assert monitored(dev, name, batch, select="raise SystemExit(1)") == ("Failed", {"MonitorBatch": "Failed", "SelectRows": "Failed"})
    dev.s3.delete_object(Bucket=dev.bucket, Key="batch/batch.csv")
    assert monitored(dev, f"{name}-2", batch) == ("Failed", {"MonitorBatch": "Failed", "SelectRows": "Succeeded", "Transform": "Failed"})


def test_a_failure_nobody_waits_for_starts_nothing_more(dev, name):
    """Monitor may not find drift in a run that can not go on."""
    steps = [
        dev.processing("Guard", "import time; time.sleep(0.5)"),
        dev.processing("Break", "raise SystemExit(1)"),
        dev.processing("MonitorBatch", DependsOn=["Guard"]),
        dev.processing("SelectRows", DependsOn=[{"Step": "MonitorBatch", "Trigger": "Any"}, "Break"]),
    ]
    execution, shown = dev.run(name, *steps)
    assert (execution["PipelineExecutionStatus"], statuses(shown)) == ("Failed", {"Guard": "Succeeded", "Break": "Failed"})


@pytest.mark.parametrize(("trigger", "status", "after"), [("Failed", "Failed", None), ("Stopped", "CompletedWithFailures", "Succeeded"), ("Any", "CompletedWithFailures", "Succeeded")])
def test_a_step_whose_job_somebody_stops_ends_stopped(dev, name, trigger, status, after):
    dev.create(name, dev.processing("Long", "import time; time.sleep(60)"), dev.processing("After", DependsOn=[{"Step": "Long", "Trigger": trigger}]))
    arn = dev.start(name)
    job = lambda: dev.steps(arn).get("Long", {}).get("Metadata", {}).get("ProcessingJob", {}).get("Arn", "").rpartition("/")[2]
    wait_for(job)
    dev.sagemaker.stop_processing_job(ProcessingJobName=job())
    execution, steps = dev.finish(arn, 20)
    assert (execution["PipelineExecutionStatus"], statuses(steps)) == (status, {"Long": "Stopped", **({"After": after} if after else {})})


# The sample's inference pipeline, as SDK 3.27 wrote it


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The accounts its definition names, with a trained model, its baseline, and a function that finds both."""
    folder = tmp_path_factory.mktemp("sample") / ".sandbox"
    account = lambda number: SimpleNamespace(account_id=number, studio_role=None)
    registry = SimpleNamespace(account_id="999999999999", jenkins_account_id="222222222222", jenkins_controller_role="jenkins-controller", approver_role="arn:aws:iam::999999999999:role/approver", aws_region="us-east-1")
    server.start(0, folder, accounts_of(SimpleNamespace(dev=account("333333333333"), prod=account("123456789012"), registry=registry)))
    try:
        place = Place.__new__(Place)
        place.sandbox, place.profile, place.bucket = Sandbox(folder, None), "prod", "prod-bucket"
        place.sagemaker, place.s3 = place.sandbox.client("sagemaker", "prod"), place.sandbox.client("s3", "prod")
        place.s3.create_bucket(Bucket="prod-bucket")
        place.role = place.make_role("pipeline-role", "s3:*", "sagemaker:*", "iam:PassRole", "lambda:*", "kms:*")
        prepare_sample(place)
        yield place
    finally:
        server.stop(folder)


def masses(rows, seed, older=0.0):
    """Age, shape, margin, density."""
    rng = np.random.default_rng(seed)
    return np.column_stack([np.clip(rng.normal(55 + older, 14, rows), 18, 96).round(), rng.integers(1, 5, rows), rng.integers(1, 6, rows), rng.integers(1, 5, rows)]).astype(int)


def prepare_sample(place):
    known = masses(800, 1)
    place.write("train/train.csv", rows_of(np.column_stack([(known[:, 0] + 8 * known[:, 1] > 75).astype(int), known])))
    train = place.training("Train", "s3://prod-bucket/train/train.csv")["Arguments"]
    place.sagemaker.create_training_job(TrainingJobName="sample", **train)
    trained = lambda: place.sagemaker.describe_training_job(TrainingJobName="sample")
    wait_for(lambda: trained()["TrainingJobStatus"] == "Completed")
    baseline = quality_check(place, "Baseline", place.write("baseline/data.csv", rows_of(known)), True, True)
    baseline["Arguments"]["Environment"]["dataset_format"] = '{"csv": {"header": false, "output_columns_position": "START"}}'
    _, steps = place.run("baseline", baseline)
    made = steps["Baseline"]["Metadata"]["QualityCheck"]
    answer = {
        "model_artifact_uri": trained()["ModelArtifacts"]["S3ModelArtifacts"],
        "image_uri": XGBOOST,
        "s3_baseline_uri_statistics": made["CalculatedBaselineStatistics"],
        "s3_baseline_uri_constraints": made["CalculatedBaselineConstraints"],
    }
    place.function("latest-approved-model", f"def handler(event, context):\n    assert event['model_package_group_name'].endswith('/mammo-group')\n    return {answer!r}")
    place.sagemaker.create_pipeline(PipelineName="mammo-inference", RoleArn=place.role, PipelineDefinition=DEFINITION.read_text())


def test_the_sample_predicts_a_clean_batch(sample):
    rows = masses(48, 2)
    sample.write("mammo/data/batch-dataset/batch.csv", rows_of(rows))
    execution, steps = sample.finish(sample.start("mammo-inference"))
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    assert statuses(steps) == dict.fromkeys(("LatestApprovedModel", "CreateModel", "MonitorBatch-monitoring", "MonitorBatch-transform"), "Succeeded")
    assert "ViolationReport" not in steps["MonitorBatch-monitoring"]["Metadata"]["QualityCheck"]
    key = f"mammo/v1/{execution['PipelineExecutionArn'].rpartition('/')[2]}/inference/batch.csv.out"
    lines = [line.split(",") for line in sample.read(f"s3://prod-bucket/{key}").decode().splitlines()]
    assert [[int(cell) for cell in line[:4]] for line in lines] == rows.tolist()
    assert all(0 < float(line[4]) < 1 for line in lines)
    assert np.corrcoef([float(line[4]) for line in lines], rows[:, 0] + 8 * rows[:, 1] > 75)[0, 1] > 0.8
    assert sample.s3.head_object(Bucket="prod-bucket", Key=key)["SSEKMSKeyId"].endswith("key/11111111-2222-3333-4444-555555555555")


def test_the_sample_stops_a_drifted_batch(sample):
    sample.write("mammo/data/drifted.csv", rows_of(masses(48, 3, older=35)))
    execution, steps = sample.finish(sample.start("mammo-inference", TransformInput="s3://prod-bucket/mammo/data/drifted.csv"))
    assert (execution["PipelineExecutionStatus"], execution["FailureReason"]) == ("Failed", "Step failure: One or multiple steps failed.")
    assert "MonitorBatch-transform" not in steps
    found = steps["MonitorBatch-monitoring"]
    report = f"s3://prod-bucket/mammo/v1/{execution['PipelineExecutionArn'].rpartition('/')[2]}/data-quality-monitor-reports/constraint_violations.json"
    assert found["FailureReason"] == f"ClientError: Quality check failed. See violation report {report}"
    assert found["Metadata"]["QualityCheck"]["ViolationReport"] == report
    assert {violation["constraint_check_type"] for violation in json.loads(sample.read(report))["violations"]} == {"baseline_drift_check"}
