"""The stand-in does what Jenkins does with small pipelines, and refuses by name what it does not do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in import StandInError, git, groovy_command, of, run_jenkinsfile, stages

pytestmark = pytest.mark.skipif(groovy_command() is None, reason="no Groovy here: make test installs one")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict]:
    """One build of a pipeline in a new repository with branches main and dev."""

    def build(pipeline: str, branch: str = "main", **more: object) -> dict:
        repository = tmp_path / "repository"
        repository.mkdir()
        (repository / "Jenkinsfile").write_text(pipeline)
        for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"], ["branch", "dev"]):
            git(repository, *arguments)
        environ = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        return run_jenkinsfile(tmp_path / "workspace", branch, environ, repository, tmp_path / "output", **more)

    return build


def test_stages_run_in_order_and_a_new_executor_has_only_what_was_stashed(run):
    build = run(
        """
        pipeline {
            agent none
            parameters { string(name: 'color', defaultValue: 'red', description: 'Any') }
            environment { GREETING = "hello ${env.BRANCH_NAME}" }
            stages {
                stage('First') {
                    agent { label 'mammo-mlops' }
                    stages {
                        stage('Write') { steps { sh 'echo "$GREETING $color $STAGE_NAME" > kept.txt; echo lost > lost.txt' } }
                        stage('Main only') { when { not { branch 'dev' } }; steps { sh 'false' } }
                    }
                    post { always { stash name: 'results', includes: 'kept.*' } }
                }
                stage('Second') {
                    when { beforeAgent true; anyOf { branch 'dev'; branch 'main' } }
                    agent any
                    steps { unstash 'results'; sh 'cat kept.txt; test ! -e lost.txt; test -e Jenkinsfile' }
                }
                stage('Change') { when { beforeAgent true; changeRequest() }; agent any; steps { error 'not here' } }
            }
        }
        """,
        branch="dev",
        parameters={"color": "blue"},
    )
    assert build["result"] == "SUCCESS", build["console"]
    assert stages(build) == {"Write": "SUCCESS", "Main only": "SKIPPED", "First": "SUCCESS", "Second": "SUCCESS", "Change": "SKIPPED"}
    assert "hello dev blue Write\n" in build["console"]
    assert [event["taken"] for event in of(build, "executor")] == [True, False, True, False]


FAILING = """
pipeline {
    agent any
    stages {
        stage('Build') {
            steps { sh 'echo before'; sh 'exit 3'; sh 'echo never' }
            post { unsuccessful { script { env.failedStage = env.STAGE_NAME } }; success { error 'not here' } }
        }
        stage('Later') { steps { sh 'echo never' } }
    }
    post {
        cleanup { echo 'last' }
        unsuccessful { mail to: 'team@example.com', subject: "${env.failedStage} is ${currentBuild.currentResult}", body: env.BUILD_URL }
        success { error 'not here' }
        failure { sh 'exit 1' }
        always { archiveArtifacts artifacts: '*', excludes: 'none'; catchError(message: 'tried') { sh 'exit 1' } }
    }
}
"""


def test_a_failing_command_skips_later_stages_and_each_post_condition_runs_in_jenkins_order(run):
    build = run(FAILING)
    assert build["result"] == "FAILURE"
    assert stages(build) == {"Build": "FAILURE", "Later": "SKIPPED"}
    assert [event["status"] for event in of(build, "sh")] == [0, 3, 1, 1]
    assert "never" not in build["console"]
    assert [event["condition"] for event in of(build, "post")] == ["unsuccessful", "always", "failure", "unsuccessful", "cleanup"]
    assert (build["output"] / "archive" / "Jenkinsfile").exists()
    (mail,) = (build["output"] / "mails").iterdir()
    assert "Subject: Build is FAILURE\n" in mail.read_text()


WAITING = """
pipeline {
    agent none
    stages {
        stage('Ask') {
            options { timeout(time: 1, unit: 'HOURS') }
            steps { script {
                def answer = input(message: 'Go on?', submitter: 'anna, seniors', submitterParameter: 'by', parameters: [string(name: 'why', defaultValue: 'none')])
                env.answer = "${answer.by}: ${answer.why}"
            } }
            post { aborted { script { env.stopped = env.STAGE_NAME } } }
        }
        stage('Go on') { agent any; steps { sh 'echo "$answer"' } }
    }
    post { always { node('') { sh 'echo "stopped at $stopped"' } } }
}
"""


def test_an_input_holds_no_executor_and_takes_the_answer_of_those_who_may(run):
    build = run(WAITING, answer=lambda event: {"by": "carla"} if event["event"] == "input" else {"by": "anna", "parameters": {"why": "checked"}})
    assert [event["executors"] for event in of(build, "input")] == [0]
    assert [event["by"] for event in of(build, "refused")] == ["carla"]
    assert build["result"] == "SUCCESS" and "anna: checked\n" in build["console"]


@pytest.mark.parametrize("answer, reason", [({"by": "berta", "groups": ["seniors"], "abort": True}, "Rejected by berta"), ({"timeout": True}, "Timeout has been exceeded")])
def test_a_refused_or_unanswered_input_aborts(run, answer, reason):
    build = run(WAITING, answer=lambda event: answer)
    assert (build["result"], build["events"][-1]["error"]) == ("ABORTED", reason)
    assert stages(build) == {"Ask": "ABORTED", "Go on": "SKIPPED"}
    assert "stopped at Ask\n" in build["console"]


def test_a_command_that_outlives_its_timeout_is_ended(run):
    build = run("pipeline { agent any; stages { stage('Slow') { options { timeout(time: 1, unit: 'SECONDS') }; steps { sh 'sleep 60' } } } }")
    assert (build["result"], of(build, "sh")) == ("ABORTED", [])


def test_results_are_published_and_failing_tests_make_a_build_unstable(run):
    build = run(
        """
        pipeline {
            agent any
            stages { stage('Test') { steps {
                sh 'mkdir -p out/a && echo page > out/a/index.html && echo "# Plan" > out/plan.md'
                sh 'printf "<testsuites><testsuite tests=\\\\"2\\\\" failures=\\\\"1\\\\" errors=\\\\"0\\\\"/></testsuites>" > tests.xml'
                junit testResults: 'tests.xml'
                publishHTML target: [reportDir: 'out', reportFiles: '**/index.html', reportName: 'Run']
                publishChecks name: 'plan', title: 'Changes', summary: readFile(findFiles(glob: '*/plan.md')[0].path)
            } } }
        }
        """
    )
    assert build["result"] == "UNSTABLE", build["console"]
    assert of(build, "junit")[0]["failures"] == 1
    assert of(build, "publishHTML")[0]["pages"] == ["a/index.html"]
    assert json.loads((build["output"] / "checks" / "plan.json").read_text())["summary"] == "# Plan\n"


@pytest.mark.parametrize(
    "pipeline, message",
    [
        ("pipeline { agent any; stages { stage('A') { steps { slackSend 'x' } } } }", "no step slackSend"),
        ("pipeline { agent any; stages { stage('A') { matrix { } } } }", "A: found matrix"),
        ("pipeline { agent any; stages { stage('A') { steps { sh script: 'true', encoding: 'x' } } } }", "sh: found encoding"),
        ("pipeline { agent { label 'gpu' }; stages { stage('A') { steps { sh 'true' } } } }", "found label gpu"),
        ("node { sh 'true' }", "Jenkinsfile: found node"),
    ],
)
def test_what_it_does_not_do_it_refuses_by_name(run, pipeline, message):
    with pytest.raises(StandInError, match=message):
        run(pipeline)


def test_a_step_that_needs_an_executor_fails_without_one(run):
    build = run("pipeline { agent none; stages { stage('A') { steps { sh 'true' } } } }")
    assert build["result"] == "FAILURE" and "sh: Required context class hudson.FilePath is missing" in build["console"]
