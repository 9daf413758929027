"""What holds for a finished commit: exports, README and notebooks agree."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mammo_mlops.reports.pages import readme

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").rglob("[!.]*.ipynb"))
NBDEV = Path(sys.executable).parent


def contents(folder: Path) -> dict[str, bytes]:
    wanted = [*folder.glob("mammo_mlops/**/*.py"), *folder.glob("nbs/**/*.ipynb")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in wanted if ".ipynb_checkpoints" not in path.parts}


def test_exporting_and_cleaning_change_nothing(tmp_path):
    for name in ("nbs", "mammo_mlops", "settings.ini"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    before = contents(tmp_path)
    for command in ("nbdev_clean", "nbdev_export"):
        subprocess.run([NBDEV / command], cwd=tmp_path, check=True, capture_output=True)
    after = contents(tmp_path)
    assert sorted(after) == sorted(before)
    assert [name for name in before if after[name] != before[name]] == []


def test_the_readme_is_the_index_notebook():
    assert (ROOT / "README.md").read_text() == readme(ROOT / "nbs" / "index.ipynb")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_and_small_exported_cells(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    exported = ["".join(cell["source"]) for cell in cells if "#| export" in "".join(cell["source"])]
    assert [source for source in exported if source.count("\n") >= 40] == []


def test_every_requirement_is_pinned_with_its_hash_and_none_needs_a_gpu():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = [line.split("==")[0] for line in lines if line and not line.startswith((" ", "#"))]
    assert len(pinned) == sum("==" in line for line in lines)
    assert [name for name in pinned if "nvidia" in name or "cuda" in name or name == "torch"] == []
    assert "xgboost-cpu" in pinned
