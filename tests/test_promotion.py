"""What was reviewed is what is deployed: plan, approve, execute, apply, roll back, in a checkout of its own against the sandbox."""

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mammo_mlops.deployment import deployments, promotion, toolchain
from mammo_mlops.pipelines import code
from mammo_mlops.reports import run
from mammo_mlops.deployment.bundle import PromotionRefused, read_approval
from mammo_mlops.environment import load_environment
from mammo_mlops.sandbox import server
from mammo_mlops.deployment.toolchain import TerraformError

PROJECT = Path(__file__).parent.parent
RUN = run.run_notebooks


def quiet(line: str) -> None:
    """Show no progress."""


def git(folder: Path, *arguments: str) -> None:
    """Run git as a developer."""
    subprocess.run(["git", "-c", "user.name=dev", "-c", "user.email=dev@example.com", *arguments], cwd=folder, check=True, capture_output=True)


def copy_project(folder: Path) -> None:
    """A git repository with the project's files as they are."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in listed:
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    git(folder, "init", "-q", "-b", "dev")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "the project")


@pytest.fixture(scope="module")
def place(own_sandbox, tmp_path_factory):
    """Jenkins in a checkout of its own; of the notebooks those two that deploy are executed, and start nothing."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith("AWS_")]:
            patch.delenv(key)
        for key, value in server.environ(own_sandbox.folder, "jenkins").items():
            patch.setenv(key, value)
        patch.chdir(folder)
        code.git_commit.cache_clear()
        patch.setattr(run, "run_notebooks", lambda name, only, given, show: RUN(name, only or ["30", "50"], {"start": "no"}, quiet))
        yield own_sandbox, folder
    code.git_commit.cache_clear()


def deploy(name: str = "dev") -> deployments.Deployment:
    """The whole path for an environment that needs no approval."""
    promotion.plan(name, quiet)
    promotion.execute(name, quiet)
    return promotion.apply(name, quiet)


def schedule(sandbox) -> str:
    """When dev's inference starts."""
    rule = f"{sandbox.environments.dev.model_name}-inference-schedule"
    return sandbox.client("events", "dev").describe_rule(Name=rule)["ScheduleExpression"]


def change(path: Path, old: str, new: str) -> None:
    """Edit a file and commit it."""
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    git(path.parent, "commit", "-qam", f"{old} is {new}")
    code.git_commit.cache_clear()


@pytest.fixture(scope="module")
def first(place):
    """Deployment 1."""
    return deploy()


def test_what_was_planned_is_deployed_and_recorded(place, first):
    sandbox, folder = place
    dev = load_environment("dev")
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    assert (first.number, first.commit, first.rolled_back_to) == (1, commit, 0)
    assert first.terraform["added"] > 20 and set(first.notebooks) == {"30_train_pipeline.ipynb", "50_inference_monitor.ipynb"}
    assert first.changes[0] == "first deployment"
    pipeline = sandbox.client("sagemaker", "dev").describe_pipeline(PipelineName=dev.train_pipeline.name)
    assert commit in pipeline["PipelineDescription"]
    tags = sandbox.client("sagemaker", "dev").list_tags(ResourceArn=pipeline["PipelineArn"])["Tags"]
    assert {"Key": "commit", "Value": commit} in tags
    kept = sandbox.client("s3", "dev").list_objects_v2(Bucket=dev.terraform_state_bucket, Prefix=f"{dev.model_name}/deployments/00001/")["Contents"]
    assert {item["Key"].rpartition("/")[2] for item in kept} >= {"record.json", "manifest.json", "plan.tfplan", "terraform.zip", "dev.tfvars.json"}


PARTS = {
    "build/promotion/dev/plan.tfplan": "plan.tfplan",
    "build/promotion/dev/definitions/mammo-severity-train-pipeline.json": "mammo-severity-train-pipeline.json",
    "build/promotion/dev/environments/dev.tfvars.json": "dev.tfvars.json",
    "build/promotion/dev/terraform.zip": "terraform.zip",
    "build/promotion/dev/manifest.json": "manifest.json: found one that nobody planned",
    "environments/dev.tfvars.json": "environments/dev.tfvars.json",
    "nbs/20_preprocessing.ipynb": "20_preprocessing.ipynb",
    "terraform/production/main.tf": "Terraform files",
}


@pytest.fixture(scope="module")
def second_plan(place, first):
    """A plan that nobody has applied."""
    return promotion.plan("dev", quiet)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_was_tampered_with_is_named_and_nothing_is_deployed(place, second_plan, name):
    path = place[1] / name
    before = path.read_bytes()
    manifest = name.endswith("manifest.json")
    path.write_bytes(before.replace(b'"changes": [', b'"changes": ["nothing at all", ') if manifest else before + b"\n")
    code.git_commit.cache_clear()
    try:
        for command in (promotion.execute, promotion.apply):
            with pytest.raises(PromotionRefused, match="nothing was deployed") as refused:
                command("dev", quiet)
            assert PARTS[name] in str(refused.value) or "commit" in str(refused.value)
    finally:
        path.write_bytes(before)
        code.git_commit.cache_clear()


def test_a_plan_is_stale_once_somebody_deploys_by_hand(place, second_plan):
    sandbox, _ = place
    sagemaker, name = sandbox.client("sagemaker", "dev"), load_environment("dev").inference_pipeline.name
    before = sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"]
    sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps({**json.loads(before), "Metadata": {"by": "hand"}}))
    try:
        with pytest.raises(PromotionRefused, match=f"deployed {name}: found .*; expected .*, as it was planned; nothing was deployed"):
            promotion.execute("dev", quiet)
    finally:
        sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=before)


def test_a_plan_is_stale_once_the_state_has_moved_on(place, second_plan):
    sandbox, _ = place
    dev, s3 = load_environment("dev"), sandbox.client("s3", "dev")
    key = f"{dev.model_name}/production.tfstate"
    before = s3.get_object(Bucket=dev.terraform_state_bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=dev.terraform_state_bucket, Key=key, Body=before + b"\n")
    try:
        with pytest.raises(PromotionRefused, match="Terraform state: found"):
            promotion.execute("dev", quiet)
    finally:
        s3.put_object(Bucket=dev.terraform_state_bucket, Key=key, Body=before)


def test_a_plan_for_another_environment_is_refused(place, second_plan):
    here = promotion.promotion_folder("prod")
    shutil.copytree(promotion.promotion_folder("dev"), here, dirs_exist_ok=True)
    try:
        with pytest.raises(PromotionRefused, match="found a plan for dev; expected one for prod"):
            promotion.execute("prod", quiet)
    finally:
        shutil.rmtree(here)


def test_prod_needs_an_approval_and_takes_one_only_once(place, first):
    promotion.plan("prod", quiet)
    with pytest.raises(PromotionRefused, match="promote execute prod: approval: found none"):
        promotion.execute("prod", quiet)
    given = promotion.approve("prod", "ada", "looks right", quiet)
    with pytest.raises(PromotionRefused, match="found it approved by ada"):
        promotion.approve("prod", "eve", "", quiet)
    prod = load_environment("prod")
    assert read_approval(prod, prod.session(), promotion.plan("prod", quiet)) is None, "an approval is for one bundle"
    assert given.by == "ada"


def test_two_at_once_are_one_after_the_other_or_one_clear_refusal(place, second_plan):
    dev = load_environment("dev")
    session = dev.session()
    with deployments.locked(dev, session, "rollback"), pytest.raises(PromotionRefused, match="found rollback running since .*; expected nobody; nothing was deployed"):
        promotion.execute("dev", quiet)
    barrier = []

    def take(_: int) -> str:
        try:
            with deployments.locked(dev, session, "promote execute"):
                barrier.append(1)
                while len(barrier) < 2:
                    pass
            return "held"
        except PromotionRefused:
            barrier.append(1)
            return "refused"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(take, range(2))) == ["held", "refused"]


def test_a_failed_notebook_puts_the_pipelines_back(place, second_plan, monkeypatch):
    sandbox, _ = place
    sagemaker, name = sandbox.client("sagemaker", "dev"), load_environment("dev").train_pipeline.name
    before = sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"]

    def breaks(*given: object) -> None:
        sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps({**json.loads(before), "Metadata": {"half": "done"}}))
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_notebooks", breaks)
    lines = []
    with pytest.raises(KeyboardInterrupt):
        promotion.execute("dev", lines.append)
    assert json.loads(sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"]) == json.loads(before)
    assert any(line.startswith(f"put back: {name}") for line in lines)
    dev = load_environment("dev")
    assert deployments.read_lock(dev, dev.session()) is None


def test_a_rollback_brings_the_schedule_back_as_a_new_deployment(place, first):
    sandbox, folder = place
    change(folder / "environments" / "dev.tfvars.json", "cron(0 23 * * ? *)", "cron(0 22 * * ? *)")
    second = deploy()
    assert second.changes[0] == "schedule 23:00 -> 22:00"
    assert schedule(sandbox) == "cron(0 22 * * ? *)"
    third = deployments.rollback("dev", 1, "22:00 is too early", "ada", quiet)
    assert (third.number, third.rolled_back_to, third.commit, third.approved_by) == (second.number + 1, 1, first.commit, "ada")
    assert schedule(sandbox) == "cron(0 23 * * ? *)"
    dev = load_environment("dev")
    assert [d.number for d in deployments.list_deployments(dev, dev.session())] == [3, 2, 1]
    with pytest.raises(ValueError, match="deployment: found 9; expected one of dev's: 3, 2, 1; nothing was deployed"):
        deployments.rollback("dev", 9, "", "ada", quiet)


def test_verify_refuses_what_can_not_be_deployed(place, monkeypatch):
    with pytest.raises(ValueError, match="prodAccount: found '111122223333'"):
        promotion.verify("prod", "111122223333", quiet)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TerraformError, match="terraform: found none on the PATH"):
        promotion.verify("dev", "", quiet)
