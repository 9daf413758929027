"""What the training side costs: the whole demo, its pipeline beside the same four programs as plain subprocesses, and both definitions.

All run here, one after the other, on the packaged data: read the ratios, not the seconds. `python tests/bench_training.py`
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

from mammo_mlops.pipelines.deploy import build_definitions
from mammo_mlops.data_split import dataset_objects, packaged_data, split_data
from mammo_mlops.demo.demo import play_demo
from mammo_mlops.environment import load_environment
from mammo_mlops.sandbox.containers import xgboost_algorithm
from mammo_mlops.sandbox.containers.container import training_files

ENVIRONMENT = load_environment("dev")
TRAIN = ENVIRONMENT.train_pipeline
FORMAT = json.dumps({"csv": {"header": True, "output_columns_position": "START"}})


def timed(command: list[str], folder: Path, **env: str) -> float:
    """Seconds of a plain subprocess that finds its files in `folder`."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "SAGEMAKER_BASE_DIR": str(folder), **env})
    return time.perf_counter() - started


def module(name: str, *arguments: str) -> list[str]:
    """The command of a step's module."""
    return [sys.executable, "-m", f"mammo_mlops.steps.{name}", *arguments]


def training_rows() -> bytes:
    """Part 1 of the packaged data, as the pipeline gets it."""
    objects = dataset_objects(ENVIRONMENT, split_data(packaged_data().frame, seed=7))
    return next(content for key, content in objects.items() if key.endswith("train-dataset/part-1.csv"))


def plain_train(ml: Path) -> float:
    """Seconds of the XGBoost program alone; leaves the model archive where evaluation wants it."""
    folder = ml / "training"
    channels = [{"ChannelName": name, "ContentType": "text/csv", "DataSource": {"S3DataSource": {}}} for name in ("train", "validation")]
    given = {name: str(value) for name, value in TRAIN.hyperparameters.items()}
    training_files(folder, {"HyperParameters": given, "InputDataConfig": channels, "ResourceConfig": {"InstanceType": TRAIN.instance_type}})
    for name in ("train", "validation"):
        shutil.copytree(ml / "processing" / name, folder / "input/data" / name, dirs_exist_ok=True)
    seconds = timed([sys.executable, xgboost_algorithm.__file__, "3.2-0"], folder)
    (ml / "processing/model").mkdir()
    with tarfile.open(ml / "processing/model/model.tar.gz", "w:gz") as archive:
        archive.add(folder / "model/xgboost-model", "xgboost-model")
    return seconds


def plain(ml: Path) -> dict[str, float]:
    """Seconds of each step's program, as a subprocess and nothing else."""
    (ml / "processing/input/data").mkdir(parents=True)
    (ml / "processing/input/data/part-1.csv").write_bytes(training_rows())
    baseline = {"dataset_format": FORMAT, "dataset_source": str(ml / "processing/baseline"), "output_path": str(ml / "processing/output"), "publish_cloudwatch_metrics": "Disabled"}
    return {
        "Preprocess": timed(module("preprocess", "--seed", "7"), ml),
        "Train": plain_train(ml),
        "Evaluate": timed(module("evaluate", "--sensitivity-target", str(TRAIN.sensitivity_target)), ml),
        "DataQualityBaseline": timed(module("data_quality"), ml, **baseline),
    }


def built() -> float:
    """Seconds in which both pipelines' definitions are built, once the SDK is imported."""
    build_definitions(ENVIRONMENT)
    started = time.perf_counter()
    build_definitions(ENVIRONMENT)
    return time.perf_counter() - started


def built_plainly() -> float:
    """The same with the SDK as it is: checks of its configuration, and a session for local runs with each step."""
    from mammo_mlops.pipelines import inference, train  # the SDK reads its settings on import

    with patch.object(train, "building", nullcontext), patch.object(inference, "building", nullcontext):
        return built()


if __name__ == "__main__":
    story = json.loads((play_demo().parent / "summary.json").read_text())
    steps = {step["name"]: step["seconds"] for step in story["executions"][0]["steps"]}
    with tempfile.TemporaryDirectory() as name:
        alone = plain(Path(name))
    print(f"{'step':<22}{'in the sandbox':>16}{'subprocess':>12}{'ratio':>8}")
    for name, seconds in alone.items():
        print(f"{name:<22}{steps[name]:>14.2f} s{seconds:>10.2f} s{steps[name] / seconds:>8.2f}")
    execution, together = story["executions"][0]["seconds"], sum(alone.values())
    print(f"{'the whole execution':<22}{execution:>14.2f} s{together:>10.2f} s{execution / together:>8.2f}")
    quick, slow = built(), built_plainly()
    print(f"both definitions: {quick:.2f} s, with the SDK as it is {slow:.2f} s, {slow / quick:.1f} times as long")
    print(f"the demo: {story['seconds']:.0f} s (150 s is the aim), {story['seconds'] / together:.1f} times the four programs alone")
