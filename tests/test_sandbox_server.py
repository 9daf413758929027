"""The sandbox as a process: ports, files, two at once, killed, stopped."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from mammo_mlops.demo import sandbox_accounts
from mammo_mlops.sandbox import server


@pytest.fixture
def folder(tmp_path):
    """A folder whose sandbox is stopped at the end."""
    yield tmp_path / "own"
    server.stop(tmp_path / "own")


def wait_until(condition, seconds=10):
    """Wait for the condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_taken_port_is_refused_with_the_sandbox_that_has_it(sandbox, folder):
    port = server.status(sandbox.folder)["port"]
    with pytest.raises(server.SandboxError, match=f"Port {port} on 127.0.0.1 can not be used .*the sandbox of {sandbox.folder} has it"):
        server.start(port, folder, sandbox.accounts)
    assert not server.status(folder)["running"]


def test_a_port_another_program_has_is_refused(sandbox, folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(server.SandboxError, match="another program has it"):
            server.start(other.getsockname()[1], folder, sandbox.accounts)


def test_it_listens_on_the_loopback_address_only(sandbox):
    port = server.status(sandbox.folder)["port"]
    listening = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}").readlines()[1:]]
    addresses = {fields[1] for fields in listening if fields[3] == "0A" and fields[1].endswith(f":{port:04X}")}
    assert addresses == {f"0100007F:{port:04X}"}


def test_credentials_are_for_the_owner_only(sandbox):
    for name in ("aws/credentials", "aws/config", "env.sh", "server.json"):
        assert stat.S_IMODE((sandbox.folder / name).stat().st_mode) == 0o600
    with open(sandbox.folder / "aws" / "credentials") as file:
        secrets = [line.split(" = ")[1].strip() for line in file if "secret" in line]
    answered = str(server.status(sandbox.folder)) + server.logs(sandbox.folder, 10_000)
    assert secrets and not any(secret in answered for secret in secrets)


def test_env_sh_is_all_a_shell_needs(sandbox):
    script = f'export AWS_ACCESS_KEY_ID=stale; . "{sandbox.folder}/env.sh"; {sys.executable} -c "import boto3; print(boto3.client(\'sts\').get_caller_identity()[\'Account\'])"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=server.without_aws(dict(os.environ)), check=True)
    assert done.stdout.strip() == sandbox.account("dev")


def test_stop_ends_it_and_its_state_and_status_says_so(sandbox, folder):
    facts = server.start(0, folder, sandbox.accounts)
    sandbox_accounts.session(folder, "dev").client("s3").create_bucket(Bucket="sagemaker-passing")
    assert server.status(folder)["accounts"] == facts["accounts"]
    assert server.stop(folder) is True
    with pytest.raises(ProcessLookupError):
        os.kill(facts["pid"], 0)
    assert server.status_text(folder) == f"No sandbox runs from {folder}; whatever an earlier one held is gone."
    assert not (folder / "aws").exists()
    with pytest.raises(server.SandboxError, match="No sandbox runs from"):
        server.environ(folder)
    server.start(facts["port"], folder, sandbox.accounts)
    assert sandbox_accounts.session(folder, "dev").client("s3").list_buckets()["Buckets"] == []


def test_a_second_start_says_that_one_runs(sandbox):
    with pytest.raises(server.SandboxError, match="runs on http://127.0.0.1:.* Nothing was started"):
        server.start(0, sandbox.folder, sandbox.accounts)


def test_of_two_starts_at_once_one_wins_and_the_other_says_so(sandbox, folder):
    def attempt(_):
        try:
            return server.start(0, folder, sandbox.accounts)["pid"]
        except server.SandboxError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(attempt, range(2)))
    winners = [result for result in results if isinstance(result, int)]
    losers = [result for result in results if isinstance(result, str)]
    assert winners == [server.status(folder)["pid"]]
    assert len(losers) == 1 and "Nothing was started" in losers[0]


def test_a_killed_sandbox_leaves_nothing_in_the_way(sandbox, folder):
    facts = server.start(0, folder, sandbox.accounts)
    os.kill(facts["pid"], signal.SIGKILL)
    wait_until(lambda: not server.is_running(folder))
    assert (folder / "server.json").exists() and not server.status(folder)["running"]
    again = server.start(facts["port"], folder, sandbox.accounts)
    assert again["pid"] != facts["pid"]


def test_it_survives_whoever_started_it(sandbox, folder):
    code = "import sys; from pathlib import Path; from mammo_mlops.environment import load_environments; from mammo_mlops.demo.sandbox_accounts import accounts_of; from mammo_mlops.sandbox import server; server.start(0, Path(sys.argv[1]), accounts_of(load_environments(Path(sys.argv[2]))))"
    environments = os.path.join(os.path.dirname(__file__), "..", "environments")
    starter = subprocess.Popen([sys.executable, "-c", code, str(folder), environments], start_new_session=True)
    assert starter.wait(30) == 0
    found = server.status(folder)
    assert found["running"] and os.getsid(found["pid"]) == found["pid"]


def test_many_clients_at_once(sandbox, name):
    bucket = sandbox.environments.dev.default_bucket

    def work(number):
        s3 = boto3.Session.client(sandbox.session("dev"), "s3")
        for turn in range(10):
            s3.put_object(Bucket=bucket, Key=f"{name}/{number}/{turn}", Body=b"x")
            s3.list_objects_v2(Bucket=bucket, Prefix=name)
        return number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == list(range(8))
    assert sandbox.client("s3").list_objects_v2(Bucket=bucket, Prefix=name)["KeyCount"] == 80
