"""What the style of the house can be measured by: cells, names, imports. `python tests/house.py [notebook ...]` lists what is to be mended."""

import ast
import json
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHOWN_WITHIN = 3  # Cells after an exported one
SMALL_HELPER = 4  # Lines of a private function that may share a cell, its first included


@dataclass(frozen=True)
class Exported:
    """An exported cell that defines something."""

    place: str  # Notebook[cell]
    lines: int  # Without directives
    definitions: tuple[str, ...]  # Functions and classes, but for small private helpers
    shown: bool


def notebooks() -> list[Path]:
    """Every notebook of the project."""
    return sorted(path for path in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def cells_of(path: Path) -> list[tuple[str, str]]:
    """Kind and source of each cell."""
    return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]


def is_exported(kind: str, source: str) -> bool:
    return kind == "code" and source.startswith("#| export")


def is_shown(kind: str, source: str) -> bool:
    """Whether the cell is an example: code that neither goes into the library nor only brings names."""
    if kind != "code" or source.startswith(("#| export", "#| default_exp")) or not source.strip():
        return False
    return not all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(source).body)


def _is_definition(node: ast.stmt) -> bool:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return False
    return not (node.name.startswith("_") and not node.name.startswith("__") and isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno < SMALL_HELPER)


def exported_cells(path: Path) -> list[Exported]:
    """The notebook's exported cells, but for those that only import."""
    cells, found = cells_of(path), []
    for index, (kind, source) in enumerate(cells):
        if not is_exported(kind, source):
            continue
        body = ast.parse(source).body
        if all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body):
            continue
        lines = [line for line in source.splitlines() if not line.startswith("#|")]
        shown = any(is_shown(*cell) for cell in cells[index + 1 : index + 1 + SHOWN_WITHIN])
        found.append(Exported(f"{path.relative_to(ROOT)}[{index}]", len(lines), tuple(node.name for node in body if _is_definition(node)), shown))
    return found


def bare_headings(path: Path) -> list[str]:
    """Prose cells that are a heading and nothing else, but for the title and "Run"."""
    cells = enumerate(cells_of(path))
    return [f"{path.relative_to(ROOT)}[{i}] {s.strip()}" for i, (kind, s) in cells if i and kind == "markdown" and s.startswith("#") and len(s.strip().splitlines()) == 1 and s.strip() != "## Run"]


def prose_share(paths: list[Path]) -> float:
    """Words of prose for each exported line."""
    words = sum(len(source.split()) for path in paths for kind, source in cells_of(path) if kind == "markdown")
    return words / max(1, sum(cell.lines for path in paths for cell in exported_cells(path)))


def modules() -> dict[str, ast.Module]:
    """Every module of the library, by its dotted name without the library's own."""
    paths = [path for path in (ROOT / "mammo_mlops").rglob("*.py") if path.name not in ("_modidx.py", "__init__.py")]
    return {".".join(path.relative_to(ROOT / "mammo_mlops").with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


SHARED = {"main", "run", "handler"}  # What every step, function and job is started by


def repeated_names(trees: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Public top-level names that several modules define, with the modules."""
    where: dict[str, list[str]] = defaultdict(list)
    for module, tree in trees.items():
        for node in tree.body:
            named = [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else []
            if isinstance(node, (ast.Assign, ast.AnnAssign)):
                named = [target.id for target in (node.targets if isinstance(node, ast.Assign) else [node.target]) if isinstance(target, ast.Name)]
            if isinstance(node, ast.FunctionDef) and any(getattr(d, "id", "") == "patch" or getattr(getattr(d, "func", None), "id", "") == "patch" for d in node.decorator_list):
                continue  # a method
            for name in set(named):
                if not name.startswith("_") and name not in SHARED and module not in where[name]:
                    where[name].append(module)
    return {name: sorted(found) for name, found in sorted(where.items()) if len(found) > 1}


def imports_of(module: str, tree: ast.Module, known: set[str]) -> set[str]:
    """The project's modules that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not (node.level or (node.module or "").startswith("mammo_mlops")):
            continue
        base = module.split(".")[: -node.level] if node.level else []
        base += [part for part in (node.module or "").split(".") if part and part != "mammo_mlops"]
        for name in node.names:
            whole = ".".join([*base, name.name])
            found.add(whole if whole in known else ".".join(base))
    return found & known


GROUND = ("environment", "storage", "registry")  # Each may import those before it
MAY_IMPORT = {
    "steps": (),
    "functions": (),
    "sandbox": (),
    "pipelines": GROUND,
    "monitoring": (*GROUND, "pipelines", "steps"),
    "decisions": (*GROUND, "pipelines", "steps"),
    "reports": (*GROUND, "pipelines"),
    "deployment": (*GROUND, "pipelines", "reports"),
}  # Package: what it may import besides itself
SANDBOX = {
    "state": (),
    "containers": (),
    "front": ("state", "containers"),
    "execution": ("state", "containers"),
    "delivery": ("state", "containers", "front", "execution"),
    "server": ("state", "containers", "front", "execution", "delivery"),
}
JOBS = ("data_split", "train_pipeline", "inference_monitor", "infra_checks")


def forbidden_imports(trees: dict[str, ast.Module]) -> list[str]:
    """Imports against the five rules of the tree (README, "Who may import whom")."""
    wrong = []
    for module, tree in trees.items():
        room = module.split(".")[0]
        for target in sorted(imports_of(module, tree, set(trees))):
            there = target.split(".")[0]
            if room == there == "sandbox":
                own, other = module.split(".")[1], target.split(".")[1]
                allowed = own == other or other in SANDBOX[own]
            elif room == there:
                allowed = True
            elif room in MAY_IMPORT:
                allowed = there in MAY_IMPORT[room]
            elif room in GROUND:
                allowed = there in GROUND[: GROUND.index(room)]
            elif room in JOBS:
                allowed = there not in ("demo", "cli", "sandbox", *JOBS)
            else:
                allowed = room == "cli" or room == "demo" and there != "cli"
            if not allowed:
                wrong.append(f"{module} imports {target}")
    return wrong


def summary() -> list[str]:
    """One line each: cells, prose, names, imports."""
    paths, trees = notebooks(), modules()
    cells = [cell for path in paths for cell in exported_cells(path)]
    lines = sorted(cell.lines for cell in cells)
    several, shown = sum(len(cell.definitions) > 1 for cell in cells), sum(cell.shown for cell in cells) / len(cells)
    argued = [path for path in paths if path.parent.name in ("pipelines", "monitoring", "deployment") or path.parent.name == "nbs" and path.name[0].isdigit()]
    return [
        f"cells: {len(cells)} exported; median {statistics.median(lines):.0f}, 90th percentile {lines[int(0.9 * len(lines))]}, longest {lines[-1]} lines; {several} with several definitions; {shown:.0%} shown within {SHOWN_WITHIN}",
        f"prose: {prose_share(argued):.1f} words for each exported line in jobs, pipelines, monitoring, deployment; {sum(len(bare_headings(path)) for path in paths)} bare headings",
        f"names: {len(repeated_names(trees))} of more than one module",
        f"imports: {len(forbidden_imports(trees))} against the rules of the tree, in {len(trees)} modules",
    ]


def listed(paths: list[Path]) -> list[str]:
    """What is to be mended in these notebooks."""
    found = []
    for path in paths:
        for cell in exported_cells(path):
            found += [f"{cell.place}: {len(cell.definitions)} definitions: {', '.join(cell.definitions)}"] if len(cell.definitions) > 1 else []
            found += [f"{cell.place}: {cell.lines} lines"] if cell.lines > 20 else []
            found += [] if cell.shown else [f"{cell.place}: not shown within {SHOWN_WITHIN} cells: {', '.join(cell.definitions)}"]
        found += [f"{heading}: bare heading" for heading in bare_headings(path)]
        found.append(f"{path.relative_to(ROOT)}: {prose_share([path]):.1f} words of prose for each exported line")
    return found


if __name__ == "__main__":
    given = [Path(text).resolve() for text in sys.argv[1:]]
    chosen = [path for path in notebooks() if not given or any(path == one or one in path.parents for one in given)]
    print("\n".join([*listed(chosen), *forbidden_imports(modules()), *(f"{name}: in {', '.join(where)}" for name, where in repeated_names(modules()).items()), *summary()]))
