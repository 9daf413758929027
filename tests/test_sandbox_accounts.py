"""The accounts over HTTP: who is who, what is kept apart, what is shared, what is refused by name."""

import io
import json
import zipfile

import boto3
import pytest
from botocore.exceptions import ClientError


def refused(call, **request):
    """The error's code and message."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def in_role(sandbox, profile, role_arn):
    """A session with the role's credentials, and its endpoint."""
    keys = sandbox.client("sts", profile).assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    return lambda service: sandbox.session(profile).client(
        service, aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"]
    )


def test_every_profile_is_its_own_account(sandbox):
    found = {profile: sandbox.client("sts", profile).get_caller_identity()["Account"] for profile in ("dev", "prod", "registry", "jenkins")}
    environments = sandbox.environments
    assert found == {
        "dev": environments.dev.account_id,
        "prod": environments.prod.account_id,
        "registry": environments.registry.account_id,
        "jenkins": environments.registry.jenkins_account_id,
    }


def test_the_approver_profile_assumes_its_role(sandbox):
    arn = sandbox.client("sts", "approver").get_caller_identity()["Arn"]
    role = sandbox.environments.registry.approver_role.rpartition("/")[2]
    assert arn == f"arn:aws:sts::{sandbox.account('registry')}:assumed-role/{role}/approver"


def test_an_unknown_key_is_refused_as_each_service_does(sandbox):
    strange = boto3.Session("AKIANOBODY", "secret", region_name="us-east-1")
    endpoint = sandbox.client("sts").meta.endpoint_url
    codes = {
        service: refused(getattr(strange.client(service, endpoint_url=endpoint), call))[0]
        for service, call in {"sts": "get_caller_identity", "s3": "list_buckets", "sagemaker": "list_pipelines", "lambda": "list_functions", "iam": "list_roles"}.items()
    }
    assert codes == {
        "sts": "InvalidClientTokenId",
        "s3": "InvalidAccessKeyId",
        "sagemaker": "UnrecognizedClientException",
        "lambda": "UnrecognizedClientException",
        "iam": "InvalidClientTokenId",
    }


def test_jenkins_assumes_its_role_in_every_account(sandbox):
    environments = sandbox.environments
    for env, role in ((environments.dev, environments.dev.jenkins_role_arn), (environments.prod, environments.prod.jenkins_role_arn)):
        identity = in_role(sandbox, "jenkins", role)("sts").get_caller_identity()
        assert (identity["Account"], ":assumed-role/" in identity["Arn"]) == (env.account_id, True)


def test_a_role_that_does_not_trust_the_caller_is_refused(sandbox):
    role = sandbox.environments.dev.jenkins_role_arn
    code, message = refused(sandbox.client("sts", "prod").assume_role, RoleArn=role, RoleSessionName="test")
    user = f"arn:aws:iam::{sandbox.account('prod')}:user/administrator"
    assert (code, message) == ("AccessDenied", f"User: {user} is not authorized to perform: sts:AssumeRole on resource: {role}")
    assert refused(sandbox.client("sts", "registry").assume_role, RoleArn=sandbox.environments.dev.train_pipeline.role_arn, RoleSessionName="test")[0] == "AccessDenied"


def test_accounts_do_not_see_each_other(sandbox, name):
    for profile in ("dev", "prod"):
        sandbox.client("iam", profile).create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    sandbox.client("sqs", "dev").create_queue(QueueName=name)
    assert not sandbox.client("sqs", "prod").list_queues(QueueNamePrefix=name).get("QueueUrls")
    assert sandbox.client("iam", "prod").get_role(RoleName=name)["Role"]["Arn"] == f"arn:aws:iam::{sandbox.account('prod')}:role/{name}"
    buckets = [{b["Name"] for b in sandbox.client("s3", profile).list_buckets()["Buckets"]} for profile in ("dev", "prod", "registry")]
    assert all(buckets) and not (buckets[0] & buckets[1]) and not (buckets[0] & buckets[2])


def test_another_accounts_bucket_needs_a_bucket_policy(sandbox, name):
    dev, prod, bucket = sandbox.client("s3", "dev"), sandbox.client("s3", "prod"), f"sagemaker-{name}"
    dev.create_bucket(Bucket=bucket)
    dev.put_object(Bucket=bucket, Key="a/b.csv", Body=b"1\n")
    code, message = refused(prod.get_object, Bucket=bucket, Key="a/b.csv")
    assert code == "AccessDenied"
    assert message.endswith(f'on resource: "arn:aws:s3:::{bucket}/a/b.csv" because no resource-based policy allows the s3:GetObject action')
    share = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{sandbox.account('prod')}:root"}, "Action": ["s3:GetObject", "s3:ListBucket"]}
    statements = [
        {**share, "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"], "Condition": {"StringLikeIfExists": {"s3:prefix": "a/*"}}},
    ]
    dev.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    assert prod.get_object(Bucket=bucket, Key="a/b.csv")["Body"].read() == b"1\n"
    assert prod.list_objects_v2(Bucket=bucket, Prefix="a/")["KeyCount"] == 1
    assert refused(prod.list_objects_v2, Bucket=bucket, Prefix="b/")[0] == "AccessDenied"
    assert refused(prod.put_object, Bucket=bucket, Key="a/c.csv", Body=b"")[0] == "AccessDenied"


def test_large_objects_and_odd_keys_survive(sandbox, name, tmp_path):
    s3, bucket = sandbox.client("s3", "dev"), sandbox.environments.dev.default_bucket
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(range(256)) * 80_000)
    s3.upload_file(str(path), bucket, f"{name}/large.bin")
    s3.download_file(bucket, f"{name}/large.bin", str(tmp_path / "back.bin"))
    assert (tmp_path / "back.bin").read_bytes() == path.read_bytes()
    for key in ("a b", "ü+%", "x=y&z", "trailing/", "#hash?"):
        s3.put_object(Bucket=bucket, Key=f"{name}/odd/{key}", Body=key.encode(), Metadata={"git_commit": "abc"})
        found = s3.get_object(Bucket=bucket, Key=f"{name}/odd/{key}")
        assert (found["Body"].read(), found["Metadata"]) == (key.encode(), {"git_commit": "abc"})
    assert s3.list_objects_v2(Bucket=bucket, Prefix=f"{name}/odd/")["KeyCount"] == 5


def test_buckets_are_made_as_the_design_says(sandbox):
    environments = sandbox.environments
    for profile, bucket in (("dev", environments.dev.default_bucket), ("prod", environments.prod.terraform_state_bucket), ("registry", environments.registry.model_artifacts_bucket)):
        s3 = sandbox.client("s3", profile)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        kms = sandbox.client("kms", profile)
        assert kms.get_key_rotation_status(KeyId=rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"])["KeyRotationEnabled"]
    groups = sandbox.client("logs", "jenkins").describe_log_groups()["logGroups"]
    assert [group["logGroupName"] for group in groups] == ["jenkins-log"]


def test_jenkins_has_the_rights_it_needs_and_no_more(sandbox, name):
    env = sandbox.environments.dev
    client = in_role(sandbox, "jenkins", env.jenkins_role_arn)
    client("s3").put_object(Bucket=env.default_bucket, Key=f"{name}.csv", Body=b"1\n")
    assert refused(client("s3").delete_object, Bucket=env.default_bucket, Key=f"{name}.csv")[0] == "AccessDenied"
    assert refused(client("s3").put_object, Bucket=env.model_artifacts_bucket, Key=f"{name}.csv", Body=b"")[0] == "AccessDenied"


@pytest.mark.parametrize(
    ("service", "call", "request_", "says"),
    [
        ("sagemaker", "create_endpoint", {"EndpointName": "e", "EndpointConfigName": "c"}, "CreateEndpoint (sagemaker) is not done by the sandbox: it does AddTags, CreateModel"),
        ("ec2", "describe_instances", {}, "DescribeInstances (ec2) is not done by the sandbox"),
        ("scheduler", "list_schedules", {}, "(scheduler) is not done by the sandbox"),
        ("lambda", "invoke_async", {"FunctionName": "f", "InvokeArgs": b"{}"}, "InvokeAsync (lambda) is not done by the sandbox"),
        ("kms", "import_key_material", {"KeyId": "k", "ImportToken": b"x", "EncryptedKeyMaterial": b"x"}, "ImportKeyMaterial (kms) is not done by the sandbox"),
        ("iam", "simulate_custom_policy", {"PolicyInputList": ["{}"], "ActionNames": ["s3:GetObject"]}, "SimulateCustomPolicy (iam) is not done by the sandbox"),
        ("sts", "get_session_token", {}, "GetSessionToken (sts) is not done by the sandbox: of sts it does AssumeRole, GetCallerIdentity"),
        ("s3", "put_bucket_website", {"Bucket": "b", "WebsiteConfiguration": {}}, "PutBucketWebsite (s3) is not done by the sandbox: no website would be served"),
    ],
)
def test_what_is_not_done_is_refused_by_name(sandbox, service, call, request_, says):
    code, message = refused(getattr(sandbox.client(service), call), **request_)
    assert (code, says in message) == ("UnsupportedOperation", True), message


def test_sagemaker_has_one_region(sandbox):
    elsewhere = sandbox.session("dev").client("sagemaker", region_name="eu-west-1")
    assert "ListModels in eu-west-1 (sagemaker) is not done by the sandbox: it has one region, us-east-1" in refused(elsewhere.list_models)[1]


def test_targets_and_subscriptions_that_nobody_serves_are_refused(sandbox, name):
    events, sns = sandbox.client("events"), sandbox.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    machine = f"arn:aws:states:us-east-1:{sandbox.account('dev')}:stateMachine:{name}"
    assert "events are delivered to SageMaker pipelines, Lambda functions, SNS topics" in refused(events.put_targets, Rule=name, Targets=[{"Id": "1", "Arn": machine}])[1]
    assert events.list_targets_by_rule(Rule=name)["Targets"] == []
    assert "Subscribe with protocol sms" in refused(sns.subscribe, TopicArn=topic, Protocol="sms", Endpoint="+15550100")[1]
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


GREET = """
import boto3, os

def handler(event, context):
    if "fail" in event:
        raise ValueError(event["fail"])
    return {"hello": event["name"], "as": boto3.client("sts").get_caller_identity()["Arn"], "word": os.environ["WORD"]}
"""


def make_function(client, name, role):
    """A Lambda function that answers with its caller."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as folder:
        folder.writestr("greet.py", GREET)
    client.create_function(
        FunctionName=name, Role=role, Handler="greet.handler", Runtime="python3.11", Timeout=30, Code={"ZipFile": archive.getvalue()}, Environment={"Variables": {"WORD": "w"}}
    )


def test_a_function_really_runs_in_its_role(sandbox, name):
    dev, role = sandbox.client("lambda", "dev"), sandbox.environments.dev.lambda_role
    make_function(dev, name, role)
    answer = dev.invoke(FunctionName=name, Payload=json.dumps({"name": "Ada"}))
    body = json.load(answer["Payload"])
    assert (body["hello"], body["word"], f":assumed-role/{role.rpartition('/')[2]}/" in body["as"]) == ("Ada", "w", True)
    failed = dev.invoke(FunctionName=name, Payload=json.dumps({"fail": "no labels"}))
    error = json.load(failed["Payload"])
    assert (failed["FunctionError"], error["errorType"], error["errorMessage"]) == ("Unhandled", "ValueError", "no labels")
    assert refused(sandbox.client("lambda", "prod").invoke, FunctionName=dev.get_function(FunctionName=name)["Configuration"]["FunctionArn"])[0] == "AccessDeniedException"
    assert "Invoke with type DryRun (lambda) is not done" in refused(dev.invoke, FunctionName=name, InvocationType="DryRun")[1]
    assert refused(dev.invoke, FunctionName=f"{name}-2")[0] == "ResourceNotFoundException"
    assert "layers are not unpacked" in refused(dev.update_function_configuration, FunctionName=name, Layers=["arn:aws:lambda:us-east-1:1:layer:x:1"])[1]
