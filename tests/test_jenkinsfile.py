"""The Jenkinsfile executed in Groovy: pull request, dev, prod, a failing notebook, a refusal, a stale plan, wrong input.

Every `sh` step really runs, in a clone of the project, against one sandbox; two branches are built side by side, as
Jenkins would. Three things are narrower than in Jenkins, so that this takes minutes and not an hour: `make test` runs
one notebook and one test (NOTEBOOKS, TESTS, WORKERS); `make install` finds the installed packages of this project
instead of installing them again; and one folder, emptied each time an executor is taken, is every machine.
"""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from mammo_mlops.deployment.deployments import list_deployments
from mammo_mlops.registry import decide, list_versions, newest_waiting
from mammo_mlops.sandbox import server

sys.path.insert(0, str(Path(__file__).parent / "jenkins"))
from stand_in import NARROWED, ROOT, git, groovy_command, make_workspace, of, run_jenkinsfile, stages

pytestmark = pytest.mark.skipif(groovy_command() is None, reason="no Groovy here: make test installs one")


class Project:
    """A repository of this project with the branches dev and main, and builds of them."""

    def __init__(self, folder: Path, sandbox: object) -> None:
        self.folder, self.sandbox, self.repository = folder, sandbox, folder / "repository"
        for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
            if (ROOT / name).is_file():
                copied = self.repository / name
                copied.parent.mkdir(parents=True, exist_ok=True)
                copied.write_bytes((ROOT / name).read_bytes())
                copied.chmod((ROOT / name).stat().st_mode)
        for arguments in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "all"], ["branch", "dev"], ["branch", "feature"]):
            git(self.repository, *arguments)

    def commit(self, branch: str, start: str, changes: dict[str, object], environment: str = "dev") -> str:
        """A commit on the branch, made anew from `start`, that changes keys of an environment file."""
        tree = self.folder / f"tree-{branch}"
        git(self.repository, "worktree", "add", "-q", "--force", "-B", branch, str(tree), start)
        path = tree / "environments" / f"{environment}.tfvars.json"
        values = json.loads(path.read_text())
        for key, value in changes.items():
            part, _, inner = key.rpartition(".")
            (values[part] if part else values)[inner] = value
        path.write_text(json.dumps(values, indent=2) + "\n")
        git(tree, "commit", "-q", "-a", "-m", f"environments: {environment} changes")
        commit = git(tree, "rev-parse", "HEAD")
        git(self.repository, "worktree", "remove", "--force", str(tree))
        return commit

    def build(self, workspace: Path, branch: str, number: int, **more: object) -> dict:
        """One build of the branch, as the controller's role."""
        environ = {**self.sandbox.environ, **NARROWED, "AWS_PROFILE": "jenkins", "PYTHONPATH": str(workspace)}
        output = self.folder / f"{branch}-{number}"
        return run_jenkinsfile(workspace, branch, environ, self.repository, output, number=number, variables={"TEAM_EMAIL": "team@example.com"}, **more)


def yes(event: dict) -> dict:
    """A member of the approvers says yes."""
    return {"by": "anna", "groups": ["mammo-approvers"]}


def no(event: dict) -> dict:
    """A member of the approvers says no."""
    return {"by": "berta", "groups": ["mammo-approvers"], "abort": True}


def dev_builds(project: Project) -> dict[str, dict]:
    """Dev is deployed, a pull request to it is planned, and a threshold that no model reaches is merged."""
    workspace = make_workspace(project.folder / "dev-agent")
    builds = {"dev": project.build(workspace, "dev", 1)}
    change = {"inference_pipeline.cron_schedule": "cron(0 22 * * ? *)", "train_pipeline.auc_score_threshold": 0.85}
    builds["pull request"] = project.build(workspace, "PR-7", 1, change_target="dev", commit=project.commit("PR-7", "dev", change))
    unreachable = project.commit("unreachable", "dev", {"train_pipeline.auc_score_threshold": 0.99})
    builds["failing"] = project.build(workspace, "dev", 2, commit=unreachable)
    return builds


def main_builds(project: Project) -> dict[str, dict]:
    """Prod is refused by a person, then made stale by somebody's change while it waits, then deployed."""
    workspace, prod = make_workspace(project.folder / "main-agent"), project.sandbox.environments.prod
    by_hand = {"Version": "2020-12-01", "Parameters": [], "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "by hand"}}]}

    def yes_but_changed(event: dict) -> dict:
        sagemaker, given = project.sandbox.client("sagemaker", "prod"), {"PipelineDefinition": json.dumps(by_hand), "ClientRequestToken": "m" * 32}
        sagemaker.create_pipeline(PipelineName=prod.inference_pipeline.name, RoleArn=prod.inference_pipeline.role_arn, **given)
        return yes(event)

    wrong = {"wrong account": project.build(workspace, "main", 1, parameters={"prodAccount": "111122223333"}), "feature": project.build(workspace, "feature", 1)}
    answers = {"refused": no, "stale": yes_but_changed, "prod": yes}
    return wrong | {key: project.build(workspace, "main", number, answer=answer) for number, (key, answer) in enumerate(answers.items(), 2)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, own_sandbox: object) -> Project:
    return Project(tmp_path_factory.mktemp("jenkins"), own_sandbox)


def people(project: Project, over: Event) -> None:
    """Until it is over, whoever gets a mail confirms the subscription, and the approver approves what dev registers."""
    environments, session = project.sandbox.environments, project.sandbox.session("approver")
    while not over.wait(2):
        server.confirm_subscriptions(project.sandbox.folder)
        if waiting := newest_waiting(list_versions(session, environments.registry)):
            decide(session, waiting, "Approved", "AUC and its interval are above the gate")


@pytest.fixture(scope="module")
def builds(project: Project) -> Iterator[dict[str, dict]]:
    """Each build's result, trace and console."""
    over = Event()
    with ThreadPoolExecutor() as pool:
        around = pool.submit(people, project, over)
        try:
            running = [pool.submit(one, project) for one in (dev_builds, main_builds)]
            built = {key: build for one in running for key, build in one.result().items()}
        finally:
            over.set()
        around.result()
    yield built


def told(project: Project, stream: str) -> list[dict]:
    """What a build wrote into jenkins-log."""
    logs, group = project.sandbox.client("logs", "jenkins"), project.sandbox.environments.registry.jenkins_log_group
    return [json.loads(event["message"]) for event in logs.get_log_events(logGroupName=group, logStreamName=f"jenkins-mammo-mlops-{stream}")["events"]]


def subjects(build: dict) -> list[str]:
    """What the build's mails are about."""
    return [event["subject"] for event in of(build, "mail")]


def archived(build: dict) -> list[str]:
    """What can be read after the build."""
    return sorted(str(path.relative_to(build["output"] / "archive")) for path in (build["output"] / "archive").rglob("*") if path.is_file())


def deployed(project: Project, environment: str) -> list[object]:
    """The environment's deployments, newest first."""
    return list_deployments(getattr(project.sandbox.environments, environment), project.sandbox.session(environment))


def threshold(project: Project) -> float:
    """What the pipeline deployed in dev asks of a model."""
    sagemaker, name = project.sandbox.client("sagemaker", "dev"), project.sandbox.environments.dev.train_pipeline.name
    definition = json.loads(sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"])
    return next(one["DefaultValue"] for one in definition["Parameters"] if one["Name"] == "AucScoreThreshold")


def test_a_merge_to_dev_deploys_without_asking(project, builds):
    build = builds["dev"]
    assert build["result"] == "SUCCESS", build["console"][-3000:]
    assert stages(build) == {
        "Verify": "SUCCESS", "Plan": "SUCCESS", "Report": "SKIPPED", "Prepare": "SUCCESS",
        "Approve": "SKIPPED", "Execute": "SUCCESS", "Apply": "SUCCESS", "Check": "SUCCESS", "Deploy": "SUCCESS",
    }  # fmt: skip
    assert of(build, "input") == [] and subjects(build) == []
    assert of(build, "junit")[0]["tests"] == 1
    assert [one.commit for one in deployed(project, "dev")] == [build["commit"][:12]]


def test_a_pull_request_is_verified_and_planned_and_says_what_a_merge_changes(project, builds):
    build = builds["pull request"]
    assert build["result"] == "SUCCESS", build["console"][-3000:]
    assert {name for name, result in stages(build).items() if result == "SUCCESS"} == {"Verify", "Plan", "Report", "Prepare"}
    said = json.loads((build["output"] / "checks" / "plan.json").read_text())["summary"]
    assert "23:00 -> 22:00" in said and "0.8 -> 0.85" in said
    assert len(deployed(project, "dev")) == 1


def test_a_failing_notebook_is_reported_and_mailed_and_the_pipelines_are_put_back(project, builds):
    build = builds["failing"]
    assert build["result"] == "FAILURE"
    assert stages(build) | {"Execute": "FAILURE", "Apply": "SKIPPED", "Check": "SKIPPED"} == stages(build)
    assert subjects(build) == ["mammo-mlops/dev #2: Execute ended as FAILURE"]
    assert [name for name in archived(build) if name.startswith("reports/dev/") and name.endswith("/30_train_pipeline.html")]
    assert of(build, "publishHTML")[0]["pages"]
    assert threshold(project) == 0.8 and len(deployed(project, "dev")) == 1


def test_a_refused_approval_deploys_nothing(project, builds):
    build = builds["refused"]
    assert (build["result"], build["events"][-1]["error"]) == ("ABORTED", "Rejected by berta")
    assert stages(build) | {"Approve": "ABORTED", "Execute": "SKIPPED", "Apply": "SKIPPED"} == stages(build)
    assert subjects(build) == ["mammo-mlops/main #2: Approve ended as ABORTED"]
    assert told(project, "main-2")[-1] | {"result": "ABORTED", "failed_stage": "Approve"} == told(project, "main-2")[-1]


def test_a_plan_gone_stale_while_it_waited_is_refused(builds):
    build = builds["stale"]
    assert build["result"] == "FAILURE"
    assert stages(build) | {"Approve": "SUCCESS", "Execute": "FAILURE", "Apply": "SKIPPED"} == stages(build)
    assert "Error: promote execute prod" in build["console"] or "Error: execute" in build["console"]
    assert [name for name in archived(build) if name.startswith("reports/prod/")] == []


def test_a_merge_to_main_is_deployed_once_an_approver_says_yes(project, builds):
    build = builds["prod"]
    assert build["result"] == "SUCCESS", build["console"][-3000:]
    (asked,) = of(build, "input")
    assert (asked["executors"], asked["submitter"]) == (0, "mammo-approvers")
    assert "build/promotion/prod/plan.html" in of(build, "archiveArtifacts")[0]["files"]
    (deployment,) = deployed(project, "prod")
    assert (deployment.commit, deployment.approved_by) == (build["commit"][:12], "anna")
    described = project.sandbox.client("sagemaker", "prod").describe_pipeline(PipelineName=project.sandbox.environments.prod.train_pipeline.name)
    assert build["commit"][:7] in described["PipelineDescription"]
    assert [line["stage"] for line in told(project, "main-4") if "stage" in line] == ["verify", "plan", "approve", "execute", "apply", "check"]
    assert not [name for build in builds.values() for name in archived(build) if name.endswith(".tfplan")]


@pytest.mark.parametrize(
    "name, message",
    [
        ("wrong account", "Error: prodAccount: found '111122223333'; expected 444455556666"),
        ("feature", "Error: branch: found 'feature'; expected dev or main"),
    ],
)
def test_wrong_input_fails_before_anything_is_planned(builds, name, message):
    build = builds[name]
    assert (build["result"], message in build["console"]) == ("FAILURE", True)
    assert stages(build) | {"Verify": "FAILURE", "Plan": "SKIPPED"} == stages(build)
    assert len(subjects(build)) == 1 and ": Verify ended as FAILURE" in subjects(build)[0]
