"""What holds for a finished commit: exports, README and notebooks agree."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import house
from mammo_mlops.reports.notebooks import readme_text

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
    assert (ROOT / "README.md").read_text() == readme_text(ROOT / "nbs" / "index.ipynb")


def test_no_outputs_are_committed():
    kept = [path.name for path in NOTEBOOKS for cell in json.loads(path.read_text())["cells"] if cell.get("outputs")]
    assert kept == []


def test_a_cell_holds_one_definition_and_is_short_and_shown():
    cells = [cell for path in NOTEBOOKS for cell in house.exported_cells(path)]
    assert [f"{cell.place}: {', '.join(cell.definitions)}" for cell in cells if len(cell.definitions) > 1] == []
    lines = sorted(cell.lines for cell in cells)
    assert lines[int(0.9 * len(lines))] <= 20, [f"{cell.place}: {cell.lines}" for cell in cells if cell.lines > 20]
    hidden = [f"{cell.place}: {', '.join(cell.definitions)}" for cell in cells if not cell.shown]
    assert len(hidden) <= 0.1 * len(cells), hidden


def test_a_heading_has_a_sentence_under_it():
    assert [heading for path in NOTEBOOKS for heading in house.bare_headings(path)] == []


def test_a_chapter_and_its_module_bear_the_same_name():
    named = {path: re.findall(r"(?m)^#\| default_exp (\S+)", "\n".join(source for _, source in house.cells_of(path))) for path in NOTEBOOKS}
    wrong = []
    for path, (module, *_) in ((path, found) for path, found in named.items() if found):
        chapter = ".".join([*path.relative_to(ROOT / "nbs").parent.parts, re.sub(r"^\d+_", "", path.stem)])
        wrong += [] if module in (chapter, "steps.preprocess") else [f"{path.name} exports {module}"]  # A job's chapter: its module travels with the step code
    assert wrong == []


def test_a_link_to_a_chapter_leads_to_one():
    broken = []
    for path in NOTEBOOKS:
        for kind, source in house.cells_of(path):
            links = re.findall(r"\]\(([\w./-]+\.ipynb)", source) if kind == "markdown" else []
            broken += [f"{path.relative_to(ROOT)}: {link}" for link in links if not (path.parent / link).is_file()]
    assert broken == []


def test_who_may_import_whom():
    assert house.forbidden_imports(house.modules()) == []


def test_a_name_has_one_meaning():
    repeated = house.repeated_names(house.modules())
    assert len(repeated) <= 20, repeated


def test_every_requirement_is_pinned_with_its_hash_and_none_needs_a_gpu():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = [line.split("==")[0] for line in lines if line and not line.startswith((" ", "#"))]
    assert len(pinned) == sum("==" in line for line in lines)
    assert [name for name in pinned if "nvidia" in name or "cuda" in name or name == "torch"] == []
    assert "xgboost-cpu" in pinned
