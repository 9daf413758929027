"""Sessions per account, against running accounts."""

import boto3
import pytest
from botocore.exceptions import ClientError

from mammo_mlops.environment import account_session, assume_role, caller_account, jenkins_role_arn, load_environments

ENVIRONMENTS = load_environments()


@pytest.fixture
def as_profile(sandbox, monkeypatch):
    """Make the process act as a profile of the sandbox."""

    def act(profile: str) -> None:
        for name, value in {**sandbox.environ, "AWS_PROFILE": profile}.items():
            monkeypatch.setenv(name, value)

    return act


def test_own_credentials_are_used_in_the_own_account(as_profile):
    as_profile("dev")
    session = ENVIRONMENTS.dev.session()
    assert caller_account(session) == ENVIRONMENTS.dev.account_id
    assert jenkins_role_arn(ENVIRONMENTS.dev.workload, ENVIRONMENTS.registry).split("/")[-1] not in session.client("sts").get_caller_identity()["Arn"]


@pytest.mark.parametrize("name", ["dev", "prod", "registry"])
def test_jenkins_assumes_its_role_in_every_account(as_profile, name):
    as_profile("jenkins")
    account = ENVIRONMENTS.registry if name == "registry" else getattr(ENVIRONMENTS, name).workload
    identity = account_session(account, ENVIRONMENTS.registry).client("sts").get_caller_identity()
    assert identity["Account"] == account.account_id
    assert f"assumed-role/{ENVIRONMENTS.registry.jenkins_role}/" in identity["Arn"]


def test_dev_may_not_act_in_prod(as_profile):
    as_profile("dev")
    with pytest.raises(ClientError, match="AccessDenied.*sts:AssumeRole"):
        ENVIRONMENTS.prod.session().client("sts").get_caller_identity()


def test_assumed_credentials_renew_themselves(as_profile):
    as_profile("jenkins")
    role = jenkins_role_arn(ENVIRONMENTS.dev.workload, ENVIRONMENTS.registry)
    credentials = assume_role(boto3.Session(), role, "us-east-1").get_credentials()
    first = credentials.get_frozen_credentials().access_key
    credentials._expiry_time = credentials._time_fetcher()
    assert credentials.get_frozen_credentials().access_key != first
