"""The model registry over HTTP: versions, policies of groups, approval, across accounts."""

import json
from datetime import datetime

import pytest
from botocore.exceptions import ClientError

INFERENCE = {"Containers": [{"Image": "xgboost:3.2-0", "ModelDataUrl": "s3://nowhere/model.tar.gz"}], "SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}


def register(client, group, **more):
    """Register a version; its ARN."""
    return client.create_model_package(ModelPackageGroupName=group, InferenceSpecification=INFERENCE, **more)["ModelPackageArn"]


def refused(call, **request):
    """The error's code and message."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_without_the_groups_policy_dev_may_not_register(sandbox, group):
    dev = sandbox.client("sagemaker", "dev")
    code, message = refused(dev.create_model_package, ModelPackageGroupName=group, InferenceSpecification=INFERENCE)
    assert code == "AccessDeniedException"
    user = f"arn:aws:iam::{sandbox.account('dev')}:user/administrator"
    version = group.replace("-group/", "/") + "/1"
    assert message == (
        f"User: {user} is not authorized to perform: sagemaker:CreateModelPackage on resource: {version} "
        "because no resource-based policy allows the sagemaker:CreateModelPackage action"
    )


def test_with_the_groups_policy_dev_registers_immutable_versions(sandbox, shared_group):
    dev, registry = sandbox.client("sagemaker", "dev"), sandbox.client("sagemaker", "registry")
    arns = [register(dev, shared_group, ModelPackageDescription=text) for text in ("first", "second")]
    assert [arn.rpartition("/")[2] for arn in arns] == ["1", "2"]
    first = registry.describe_model_package(ModelPackageName=arns[0])
    assert (first["ModelPackageDescription"], first["ModelApprovalStatus"], first["ModelPackageStatus"]) == ("first", "PendingManualApproval", "Completed")
    assert first["CreatedBy"]["IamIdentity"]["Arn"].endswith(":user/administrator")
    assert isinstance(first["CreationTime"], datetime)


def test_a_policy_for_dev_does_not_open_the_group_to_prod(sandbox, shared_group):
    register(sandbox.client("sagemaker", "dev"), shared_group)
    prod = sandbox.client("sagemaker", "prod")
    assert refused(prod.list_model_packages, ModelPackageGroupName=shared_group)[0] == "AccessDeniedException"
    assert refused(prod.describe_model_package_group, ModelPackageGroupName=shared_group)[0] == "AccessDeniedException"


def test_dev_may_not_approve(sandbox, shared_group):
    arn = register(sandbox.client("sagemaker", "dev"), shared_group)
    code, message = refused(sandbox.client("sagemaker", "dev").update_model_package, ModelPackageArn=arn, ModelApprovalStatus="Approved")
    assert code == "AccessDeniedException"
    assert message.endswith(f"on resource: {arn} because no resource-based policy allows the sagemaker:UpdateModelPackage action")
    described = sandbox.client("sagemaker", "registry").describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "PendingManualApproval"


def test_the_registrys_jenkins_role_may_not_approve(sandbox, shared_group):
    registry = sandbox.environments.registry
    arn = register(sandbox.client("sagemaker", "dev"), shared_group)
    role = f"arn:aws:iam::{registry.account_id}:role/{registry.jenkins_role}"
    keys = sandbox.client("sts", "jenkins").assume_role(RoleArn=role, RoleSessionName="build-1")["Credentials"]
    jenkins = sandbox.session("registry").client(
        "sagemaker", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"]
    )
    code, message = refused(jenkins.update_model_package, ModelPackageArn=arn, ModelApprovalStatus="Approved")
    assert (code, "no identity-based policy allows the sagemaker:UpdateModelPackage action" in message) == ("AccessDeniedException", True)


@pytest.fixture
def registry_group(sandbox):
    """The group that the approver's rights name; left as it was found."""
    name, registry = sandbox.environments.registry.model_package_group_name, sandbox.client("sagemaker", "registry")
    there = registry.list_model_package_groups(NameContains=name)["ModelPackageGroupSummaryList"]
    arn = there[0]["ModelPackageGroupArn"] if there else registry.create_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"]
    before = registry.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]
    yield arn
    for version in registry.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]:
        if version not in before:
            registry.delete_model_package(ModelPackageName=version["ModelPackageArn"])
    if not there:
        registry.delete_model_package_group(ModelPackageGroupName=name)


def test_the_approver_approves_and_is_recorded(sandbox, registry_group):
    arn = register(sandbox.client("sagemaker", "registry"), registry_group, CustomerMetadataProperties={"git_commit": "abc", "note": "x"})
    approver = sandbox.client("sagemaker", "approver")
    approver.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="AUC 0.90", CustomerMetadataProperties={"reason": "better"}, CustomerMetadataPropertiesToRemove=["note"]
    )
    found = approver.describe_model_package(ModelPackageName=arn)
    assert (found["ModelApprovalStatus"], found["ApprovalDescription"]) == ("Approved", "AUC 0.90")
    assert found["CustomerMetadataProperties"] == {"git_commit": "abc", "reason": "better"}
    assert found["LastModifiedBy"]["IamIdentity"]["Arn"].endswith(f":assumed-role/{sandbox.environments.registry.approver_role.rpartition('/')[2]}/approver")
    assert refused(approver.create_model_package, ModelPackageGroupName=registry_group, InferenceSpecification=INFERENCE)[0] == "AccessDeniedException"


def test_an_update_changes_only_what_it_names(sandbox, shared_group):
    registry = sandbox.client("sagemaker", "registry")
    arn = register(sandbox.client("sagemaker", "dev"), shared_group, ModelApprovalStatus="Approved")
    registry.update_model_package(ModelPackageArn=arn, ModelLifeCycle={"Stage": "Production", "StageStatus": "Live"})
    found = registry.describe_model_package(ModelPackageName=arn)
    assert (found["ModelApprovalStatus"], found["ModelLifeCycle"]) == ("Approved", {"Stage": "Production", "StageStatus": "Live"})
    assert found["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == "s3://nowhere/model.tar.gz"


def test_versions_are_listed_by_arn_filtered_sorted_and_paged(sandbox, shared_group):
    dev, registry = sandbox.client("sagemaker", "dev"), sandbox.client("sagemaker", "registry")
    arns = [register(dev, shared_group) for _ in range(5)]
    for arn in (arns[1], arns[3]):
        registry.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    latest = dev.list_model_packages(ModelPackageGroupName=shared_group, ModelApprovalStatus="Approved", SortBy="CreationTime", SortOrder="Descending", MaxResults=1)
    assert [item["ModelPackageArn"] for item in latest["ModelPackageSummaryList"]] == [arns[3]]
    pages = dev.get_paginator("list_model_packages").paginate(ModelPackageGroupName=shared_group, PaginationConfig={"PageSize": 2})
    assert [[item["ModelPackageVersion"] for item in page["ModelPackageSummaryList"]] for page in pages] == [[1, 2], [3, 4], [5]]
    middle = dev.describe_model_package(ModelPackageName=arns[2])["CreationTime"]
    later = dev.list_model_packages(ModelPackageGroupName=shared_group, CreationTimeAfter=middle)["ModelPackageSummaryList"]
    assert {4, 5} <= {item["ModelPackageVersion"] for item in later} <= {3, 4, 5}  # Times travel in milliseconds


def test_a_deleted_versions_number_is_not_used_again(sandbox, shared_group):
    registry = sandbox.client("sagemaker", "registry")
    first = register(registry, shared_group)
    name = shared_group.rpartition("/")[2]
    assert refused(registry.delete_model_package_group, ModelPackageGroupName=name)[0] == "ConflictException"
    registry.delete_model_package(ModelPackageName=first)
    assert register(registry, shared_group).endswith("/2")
    assert refused(registry.describe_model_package, ModelPackageName=first) == ("ValidationException", f"ModelPackage {first} does not exist.")


def test_the_policy_belongs_to_the_owning_account(sandbox, shared_group):
    name, registry, dev = shared_group.rpartition("/")[2], sandbox.client("sagemaker", "registry"), sandbox.client("sagemaker", "dev")
    policy = registry.get_model_package_group_policy(ModelPackageGroupName=name)["ResourcePolicy"]
    assert len(json.loads(policy)["Statement"]) == 2
    assert refused(dev.get_model_package_group_policy, ModelPackageGroupName=name) == (
        "ValidationException",
        f"ModelPackageGroup {shared_group.replace(sandbox.account('registry'), sandbox.account('dev'))} does not exist.",
    )
    assert refused(dev.put_model_package_group_policy, ModelPackageGroupName=shared_group, ResourcePolicy=policy)[0] == "ValidationException"
    registry.delete_model_package_group_policy(ModelPackageGroupName=name)
    assert "Cannot find resource policy" in refused(registry.get_model_package_group_policy, ModelPackageGroupName=name)[1]
    assert refused(dev.describe_model_package_group, ModelPackageGroupName=shared_group)[0] == "AccessDeniedException"


def test_every_change_is_an_event_in_the_owning_account(sandbox, shared_group, name, open_queue):
    sqs, events = sandbox.client("sqs", "registry"), sandbox.client("events", "registry")
    queue, arn = open_queue("registry")
    pattern = {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Model Package State Change"], "detail": {"ModelPackageGroupName": [shared_group.rpartition("/")[2]]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    version = register(sandbox.client("sagemaker", "dev"), shared_group)
    sandbox.client("sagemaker", "registry").update_model_package(ModelPackageArn=version, ModelApprovalStatus="Rejected")
    received = []
    while len(received) < 2:
        received += sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    found = [json.loads(message["Body"]) for message in received]
    assert sorted(event["detail"]["ModelApprovalStatus"] for event in found) == ["PendingManualApproval", "Rejected"]
    assert {(event["account"], event["resources"][0]) for event in found} == {(sandbox.account("registry"), version)}


def test_a_model_needs_data_that_its_role_can_read(sandbox, name):
    dev, env = sandbox.client("sagemaker", "dev"), sandbox.environments.dev
    uri = f"s3://{env.default_bucket}/{name}/model.tar.gz"
    model = {"ModelName": name, "ExecutionRoleArn": env.train_pipeline.role_arn, "PrimaryContainer": {"Image": "xgboost:3.2-0", "ModelDataUrl": uri}}
    code, message = refused(dev.create_model, **model)
    assert (code, f"Could not access model data at {uri}" in message) == ("ValidationException", True)
    sandbox.client("s3", "dev").put_object(Bucket=env.default_bucket, Key=f"{name}/model.tar.gz", Body=b"weights")
    dev.create_model(**model)
    assert dev.describe_model(ModelName=name)["PrimaryContainer"]["ModelDataUrl"] == uri
    code, message = refused(dev.create_model, **{**model, "ModelName": f"{name}-2", "ExecutionRoleArn": env.lambda_role})
    assert "allows principal 'sagemaker.amazonaws.com' to assume the role" in message
