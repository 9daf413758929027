"""One sandbox for the tests of a worker, with the accounts that the environment files name; and which files' tests go side by side."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

import house
from mammo_mlops.environment import Environments, load_environments
from mammo_mlops.demo import sandbox_accounts
from mammo_mlops.sandbox import server

ENVIRONMENTS = Path(__file__).parent.parent / "environments"
LONGEST = ("test_jenkinsfile", "test_demo", "test_promotion", "test_training_side", "test_production_side", "test_accounts", "test_terraform", "test_inference_pipeline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest begin; pytest-xdist gives each file to one worker."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the style of the house measures, a line each."""
    for line in house.summary():
        terminalreporter.write_line(line)


@dataclass(frozen=True, eq=False)
class Sandbox:
    """How tests reach the sandbox."""

    folder: Path
    environments: Environments

    @property
    def environ(self) -> dict[str, str]:
        """The variables that point a process at this sandbox; AWS variables of this process are left out."""
        return {**server.without_aws(dict(os.environ)), **server.environ(self.folder)}

    @property
    def accounts(self) -> server.Accounts:
        """What the sandbox is started with."""
        return sandbox_accounts.accounts_of(self.environments)

    def session(self, profile: str = "dev") -> boto3.Session:
        """A session in the profile's account."""
        return sandbox_accounts.session(self.folder, profile)

    @lru_cache(maxsize=None)
    def client(self, service: str, profile: str = "dev") -> object:
        """A client of the profile's account that does not retry, so that a refusal shows at once."""
        return self.session(profile).client(service, config=Config(retries={"max_attempts": 0}))

    def account(self, profile: str) -> str:
        """The account's id."""
        return server.status(self.folder)["accounts"][profile]


@contextmanager
def running(folder: Path) -> Iterator[Sandbox]:
    """A sandbox that runs as long as the block, with accounts."""
    environments = load_environments(ENVIRONMENTS)
    sandbox_accounts.start_with_accounts(0, folder, environments)
    try:
        yield Sandbox(folder, environments)
    finally:
        server.stop(folder)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A running sandbox; started once, stopped at the end."""
    with running(tmp_path_factory.mktemp("sandbox") / ".sandbox") as started:
        yield started


@pytest.fixture(scope="module")
def own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox for the tests of one file, who may move its clock."""
    with running(tmp_path_factory.mktemp("own") / ".sandbox") as started:
        yield started


@pytest.fixture
def open_queue(sandbox: Sandbox, name: str) -> Callable[..., tuple[str, str]]:
    """Make a queue that AWS's services may send to: its URL and its ARN."""

    def make(profile: str = "dev", suffix: str = "") -> tuple[str, str]:
        sqs, arn = sandbox.client("sqs", profile), f"arn:aws:sqs:us-east-1:{sandbox.account(profile)}:{name}{suffix}"
        statement = {"Effect": "Allow", "Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}, "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        return sqs.create_queue(QueueName=f"{name}{suffix}", Attributes={"Policy": policy})["QueueUrl"], arn

    return make


@pytest.fixture
def name() -> str:
    """A name nobody else uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def group(sandbox: Sandbox, name: str) -> str:
    """ARN of a new model package group in the registry account, without a policy."""
    registry = sandbox.client("sagemaker", "registry")
    return registry.create_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"]


@pytest.fixture
def shared_group(sandbox: Sandbox, group: str) -> str:
    """The same, with a policy by which dev registers and reads, and only the registry account approves."""
    versions = group.replace(":model-package-group/", ":model-package/") + "/*"
    dev = {"AWS": f"arn:aws:iam::{sandbox.account('dev')}:root"}
    actions = [f"sagemaker:{verb}" for verb in ("CreateModelPackage", "DescribeModelPackage", "ListModelPackages", "CreateModel")]
    statements = [
        {"Effect": "Allow", "Principal": dev, "Action": "sagemaker:DescribeModelPackageGroup", "Resource": group},
        {"Effect": "Allow", "Principal": dev, "Action": actions, "Resource": versions},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    sandbox.client("sagemaker", "registry").put_model_package_group_policy(ModelPackageGroupName=group.rpartition("/")[2], ResourcePolicy=policy)
    return group
