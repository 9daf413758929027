"""What describing a large CSV costs: the analyzer, evidently, whylogs, and the floor (pyarrow, DuckDB, polars), on the same file.

Every program runs in a process of its own; seconds are without imports, the best of three (evidently and whylogs: one run),
memory is the process's peak plus, for each worker, the largest worker's (pages they share count each time; the analyzer has
workers from 16 MB on). The peers live in `.venv-bench`, made from
`requirements-bench.lock`; `make bench` makes both. `python tests/bench_data_quality.py [rows]`, 1 million by default; the
analyzer and the floor also run on 10 million, which shows that memory does not grow.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-bench/bin/python"
NAMES = ["bi_rads", "age", "shape", "margin", "density"]
BLANKS = [0.002, 0.005, 0.032, 0.05, 0.08]  # Shares of missing values, as in the real data
LARGE = 10_000_000
CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1  # What the analyzer uses


def generate(path: Path, rows: int) -> None:
    """Rows like the real ones: an age, four codes, some cells empty."""
    import numpy as np

    chance, block = np.random.default_rng(7), 250_000
    with path.open("w") as file:
        file.write(",".join(NAMES) + "\n")
        for start in range(0, rows, block):
            size = min(block, rows - start)
            codes = [chance.choice([0, 2, 3, 4, 5, 6], size, p=[0.005, 0.02, 0.04, 0.56, 0.36, 0.015]), *(chance.integers(1, top, size) for top in (5, 6, 5))]
            ages = np.clip(chance.normal(55.5, 14.5, size).round(), 18, 96).astype(int)
            cells = np.column_stack([codes[0], ages, *codes[1:]]).astype(str).astype(object)
            cells[chance.random(cells.shape) < BLANKS] = ""
            file.write("\n".join(map(",".join, cells)) + "\n")


def ours(path: Path) -> None:
    """The baseline job: describes the file and writes statistics.json and constraints.json."""
    from mammo_mlops.steps import data_quality

    with tempfile.TemporaryDirectory() as folder:
        variables = {"dataset_source": str(path), "output_path": folder, "dataset_format": '{"csv": {"header": true}}'}
        data_quality.run(Path(folder), variables)


def evidently(path: Path) -> None:
    """Evidently's summary of every column."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataSummaryPreset

    data = Dataset.from_pandas(pd.read_csv(path), data_definition=DataDefinition(numerical_columns=NAMES))
    Report([DataSummaryPreset()]).run(data, None).json()


def whylogs(path: Path) -> None:
    """whylogs' profile of every column."""
    import pandas as pd
    import whylogs as why

    why.log(pd.read_csv(path)).view().to_pandas()


def pyarrow(path: Path) -> None:
    """Smallest, largest, mean, deviation, missing values and counts by value."""
    import pyarrow.compute as compute
    from pyarrow import csv

    for column in csv.read_csv(path).columns:
        _ = compute.min_max(column), compute.mean(column), compute.stddev(column), column.null_count, compute.value_counts(column)


def duckdb(path: Path) -> None:
    """DuckDB's own summary."""
    import duckdb as engine

    engine.sql(f"SUMMARIZE SELECT * FROM read_csv('{path}')").fetchall()


def polars(path: Path) -> None:
    """polars' own summary, streamed."""
    import polars as engine

    engine.scan_csv(path).describe()


PROGRAMS: dict[str, tuple[Callable[[Path], None], int]] = {
    "ours": (ours, 3), "evidently": (evidently, 1), "whylogs": (whylogs, 1), "pyarrow": (pyarrow, 3), "duckdb": (duckdb, 3), "polars": (polars, 3),
}
FLOOR = ("pyarrow", "duckdb", "polars")


def measure(name: str, path: Path) -> dict[str, float]:
    """Seconds and peak megabytes of this process; a small file first, so that everything is imported."""
    program, repeats = PROGRAMS[name]
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder, "small.csv")
        with path.open() as lines:
            small.write_text("".join(next(lines) for _ in range(101)))
        program(small)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        program(path)
        seconds.append(time.perf_counter() - started)
    own, workers = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"seconds": min(seconds), "megabytes": own + workers * CORES, "largest": max(own, workers)}


def child(*arguments: str, python: Path | str = sys.executable) -> str:
    """The last line of this file, run with these arguments by that Python."""
    done = subprocess.run([str(python), __file__, *arguments], check=True, capture_output=True, text=True, env={**os.environ, "DO_NOT_TRACK": "1"})
    return (done.stdout.strip().splitlines() or [""])[-1]


def table(path: Path, rows: int, names: list[str]) -> dict[str, dict[str, float]]:
    """Print and return what each program costs on the file."""
    child("generate", str(path), str(rows))
    print(f"\n{rows:,} rows, {path.stat().st_size / 1e6:.0f} MB, {CORES} cores\n{'program':<12}{'seconds':>10}{'times ours':>12}{'peak MB':>10}")
    found: dict[str, dict[str, float]] = {}
    for name in names:
        found[name] = json.loads(child("measure", name, str(path), python=sys.executable if name == "ours" else PEERS))
        print(f"{name:<12}{found[name]['seconds']:>10.2f}{found[name]['seconds'] / found['ours']['seconds']:>12.1f}{found[name]['megabytes']:>10.0f}", flush=True)
    return found


def floor(found: dict[str, dict[str, float]]) -> str:
    """Ours beside the fastest way to read and describe the file."""
    fastest = min(FLOOR, key=lambda name: found[name]["seconds"])
    return f"{found['ours']['seconds'] / found[fastest]['seconds']:.2f} times the floor, {fastest} (2 is the aim)"


def main(rows: int) -> None:
    """Both tables and the ratios."""
    if not PEERS.exists():
        raise SystemExit(f"{PEERS}: found no such Python; expected evidently, whylogs and the others there; nothing was measured. Try: make bench")
    with tempfile.TemporaryDirectory() as folder:
        some = table(Path(folder, "some.csv"), rows, list(PROGRAMS))
        faster = min(("evidently", "whylogs"), key=lambda name: some[name]["seconds"])
        print(f"ours: {some[faster]['seconds'] / some['ours']['seconds']:.0f} times as fast as {faster} (20 is the aim), {floor(some)}")
        if rows < LARGE:
            many = table(Path(folder, "many.csv"), LARGE, ["ours", *FLOOR])
            print(f"ours: {floor(many)}; its largest process peaks at {some['ours']['largest']:.0f} MB for {rows:,} rows, {many['ours']['largest']:.0f} MB for {LARGE:,}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["generate"]:
        generate(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
