"""The shape of the code, read from the syntax tree: arrows, fences, sizes, safe files, no branch on modality."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "headstart"
FILES = sorted(ROOT.rglob("*.py"))

# a unit is a package or a module right under headstart; it may import units of lower layers only
LAYERS: dict[str, int] = {
    **dict.fromkeys(("types", "errors", "settings", "allocator", "threads"), 0),
    **dict.fromkeys(
        ("data", "sources", "metrics", "transferability", "runtime", "demo_data", "run_dir", "budget", "plan",
         "feature_store", "stock_process", "findings"), 1),
    **dict.fromkeys(("backbones", "features", "problem", "heads", "training", "uncertainty"), 2),
    **dict.fromkeys(("tasks", "artifact"), 3),
    **dict.fromkeys(("stages",), 4),
    **dict.fromkeys(
        ("describe_run", "report", "report_plots", "report_label_curve", "report_time_plot",
         "model_card", "thumbnails", "result",
         "predictor", "detector_engine",
         "comparison", "compare_page", "describe_refinement", "advice"), 5),
    **dict.fromkeys(("workflow", "refinement", "proof", "api"), 6),
    **dict.fromkeys(("__init__", "__main__", "cli", "sklearn"), 7),
}  # fmt: skip
STOCK = "stock"  # beside the layers: every unit may import it, it imports none

# (importer, imported) inside one layer; a new pair is a decision, taken here
SIBLINGS = {
    ("settings", "errors"),
    ("transferability", "data"),
    ("transferability", "metrics"),
    ("features", "backbones"),
    ("problem", "backbones"),
    ("problem", "features"),
    ("heads", "problem"),
    ("heads", "backbones"),
    ("heads", "features"),
    ("training", "backbones"),
    ("artifact", "tasks"),
    ("report", "report_plots"),
    ("report", "report_label_curve"),
    ("report_label_curve", "report_plots"),
    ("report", "report_time_plot"),
    ("report_time_plot", "report_plots"),
    ("result", "predictor"),
    ("predictor", "detector_engine"),
    ("compare_page", "comparison"),
    ("compare_page", "report"),
    ("compare_page", "report_plots"),
    ("describe_refinement", "comparison"),
    ("refinement", "workflow"),
    ("api", "refinement"),
    ("api", "workflow"),
    ("api", "proof"),
    ("__main__", "cli"),
}

# what breaks a rule today, each with its reason; mending it makes this table fail until the entry goes
UPWARD: dict[tuple[str, str], str] = {}
LONG_FILES = {"templates/report.html.j2": "one HTML page with its styles and macros"}
LONG_FUNCTIONS: dict[tuple[str, str], str] = {}

# library -> the only places that may import it; "folder/" stands for everything in it
FENCES: dict[str, tuple[str, ...]] = {
    "click": ("cli/",),
    "rich": ("cli/",),
    "openvino": ("runtime/openvino.py",),
    "timm": ("backbones/timm", "stock/timm_", "sources/convert.py", "sources/hub.py"),
    "transformers": ("backbones/transformers_", "stock/", "sources/convert.py", "metrics/speech.py"),
    "soundfile": ("data/audio.py", "stock/decode.py", "stock/pauses.py", "demo_data/"),
}  # fmt: skip
UNSAFE_FORMATS = frozenset({"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"})

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
MODALITIES = frozenset({"image", "audio", "text"})


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def unit(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    """Dotted names of everything a file imports anywhere; `from a import b` gives a.b."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(file)} line {node.lineno}: write imports in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def units_imported(file: Path) -> set[str]:
    parts = [target.split(".") for target in imports(file) if target.split(".")[0] == "headstart"]
    known = {*LAYERS, STOCK}
    return {p[1] if len(p) > 1 and p[1] in known else "__init__" for p in parts}


def arrows() -> set[tuple[str, str]]:
    found = {(unit(file), target) for file in FILES if unit(file) in LAYERS for target in units_imported(file)}
    return {(a, b) for a, b in found if a != b and b != STOCK}


def test_every_unit_has_a_layer():
    assert {unit(file) for file in FILES} == {*LAYERS, STOCK}


def test_imports_go_downwards():
    upward = {(a, b) for a, b in arrows() if LAYERS[b] > LAYERS[a]}
    assert upward == set(UPWARD)


def test_siblings_import_each_other_only_where_listed():
    assert {(a, b) for a, b in arrows() if LAYERS[a] == LAYERS[b]} == SIBLINGS


def test_siblings_form_no_circle():
    left = set(SIBLINGS)
    while left:
        importers = {a for a, _ in left}
        removable = {(a, b) for a, b in left if b not in importers}
        assert removable, f"circle among {sorted(left)}"
        left -= removable


def test_stock_loaders_import_nothing_of_headstart():
    found = {
        (name(file), target.rpartition(".")[0])
        for file in FILES
        if unit(file) == STOCK
        for target in imports(file)
        if target.startswith("headstart")
    }
    assert found == set()


@pytest.mark.parametrize("library", FENCES)
def test_a_library_stays_behind_its_fence(library):
    users = {name(file) for file in FILES for target in imports(file) if target.split(".")[0] == library}
    assert users
    assert not [user for user in users if not user.startswith(FENCES[library])]


def test_the_lowest_layer_needs_only_the_standard_library():
    for file in FILES:
        if LAYERS.get(unit(file)) == 0:
            assert {target.split(".")[0] for target in imports(file)} <= {*sys.stdlib_module_names, "headstart"}


@pytest.mark.parametrize("statement", [
    "import headstart",
    "import sys; sys.argv = ['headstart', '--help']; from headstart.cli import main; main()",
])  # fmt: skip
def test_nothing_heavy_is_loaded_before_it_is_needed(statement):
    script = f"{statement}\nimport sys\nprint('loaded:', *{{'torch', 'transformers', 'numpy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


def test_files_are_short():
    sources = [*FILES, *ROOT.rglob("*.j2")]
    long = {name(file) for file in sources if len(file.read_text("utf-8").splitlines()) > MAX_FILE_LINES}
    assert long == set(LONG_FILES)


def test_functions_are_short():
    long = {
        (name(file), node.name)
        for file in FILES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == set(LONG_FUNCTIONS)


def test_no_file_format_that_can_run_code():
    users = [(name(file), target) for file in FILES for target in imports(file)]
    assert not [user for user in users if user[1].split(".")[0] in UNSAFE_FORMATS]
    assert not [user for user in users if user[1] == "torch.load"]  # torch.load(...) is checked where it is called


@pytest.mark.parametrize(("function", "keyword", "wanted"), [
    ("torch.load", "weights_only", True),
    ("np.load", "allow_pickle", False),
    ("numpy.load", "allow_pickle", False),
])  # fmt: skip
def test_loads_cannot_run_code(function, keyword, wanted):
    for file, call in calls():
        if ast.unparse(call.func) == function:
            given = {k.arg: ast.unparse(k.value) for k in call.keywords}
            assert given.get(keyword) == str(wanted), f"{name(file)} line {call.lineno}"


def test_remote_code_is_never_trusted():
    for file, call in calls():
        for given in call.keywords:
            assert given.arg != "trust_remote_code" or ast.unparse(given.value) == "False", name(file)
        assert not any(isinstance(a, ast.Constant) and a.value == "trust_remote_code" for a in ast.walk(call))


def calls() -> list[tuple[Path, ast.Call]]:
    return [(file, node) for file in FILES for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]


def test_stages_do_not_branch_on_modality():
    found = [
        (name(file), ast.unparse(node))
        for file in FILES
        if unit(file) == "stages"
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Compare | ast.match_case) and mentions_modality(node)
    ]
    # the named model is refused where it takes other inputs than the task has
    assert found == [("stages/select.py", "source.modality != task.modality")]


def mentions_modality(node: ast.Compare | ast.match_case) -> bool:
    looked_at = node.pattern if isinstance(node, ast.match_case) else node
    return any(
        (isinstance(part, ast.Constant) and part.value in MODALITIES)
        or (isinstance(part, ast.Attribute) and part.attr == "modality")
        for part in ast.walk(looked_at)
    )
