"""The data go one way: a module imports only from rows above its own."""

import ast
import pathlib
import subprocess
import sys

import pytest

import bnkit
from bnkit import families

ROOT = pathlib.Path(bnkit.__file__).parent
ROWS = {
    "backend": 0, "rules": 0, "kinds": 0, "schedules": 0,
    "messages": 0, "further_arguments": 0, "arguments": 0, "waiting": 0,
    "families": 1, "store": 1, "flag_parsers": 1,
    "settings": 2,
    "memory": 3, "sharing": 3, "layers": 3, "data": 3, "losses": 3, "report": 3,
    "probes": 4, "models": 4,
    "training": 5,
    "callbacks": 6,
    "experiment": 7,
    "study": 8,
    "command_line": 9, "preflight": 9, "reporting": 9,
    "main": 10,
    "commands": 11,
    "__main__": 12,
}  # fmt: skip
WITHOUT_TENSORFLOW = {
    "backend", "rules", "kinds", "families", "settings", "schedules", "store", "report", "study",
    "messages", "further_arguments", "arguments", "flag_parsers", "memory", "command_line",
    "sharing", "waiting", "commands", "__main__", "reporting",
}  # fmt: skip
MAY_NOT = {
    "layers": {"settings"},
    "probes": {"store", "callbacks"},
    "training": {"store"},
}
MAY_READ_FLAGS = {"command_line.py", "flag_parsers.py", "report/__main__.py"}
# Where models are known by name: their registry, and the default of `--model`.
MAY_NAME_MODELS = {"families.py", "settings.py"}


def module_files():
    return sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py") if path.parent != ROOT) + [
        path.relative_to(ROOT) for path in sorted(ROOT.glob("*.py")) if path.name != "__init__.py"
    ]


def imports(path):
    """All imported names, wherever they stand in the file."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_of(path):
    return path.parts[0].removesuffix(".py")


def test_every_module_has_its_row():
    assert {module_of(path) for path in module_files()} == set(ROWS)


@pytest.mark.parametrize("path", module_files(), ids=str)
def test_imports_go_upwards_only(path):
    module = module_of(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "bnkit" and len(parts) > 1 and parts[1] in ROWS:
            other = parts[1]
            assert other == module or ROWS[other] < ROWS[module], f"{path} imports {name}"
            assert other not in MAY_NOT.get(module, ()), f"{path} imports {name}"
        if parts[0] in ("tensorflow", "keras"):
            assert module not in WITHOUT_TENSORFLOW, f"{path} imports {name}"
        if parts[0] == "absl":
            assert path.as_posix() in MAY_READ_FLAGS, f"{path} imports {name}"


@pytest.mark.parametrize("path", module_files(), ids=str)
def test_nothing_but_the_registry_knows_a_model_by_name(path):
    if path.as_posix() in MAY_NAME_MODELS:
        return
    tree = ast.walk(ast.parse((ROOT / path).read_text()))
    texts = [node.value for node in tree if isinstance(node, ast.Constant)]
    named = [text for text in texts if text in families.MODELS]
    assert not named, f"{path} names {named}; what it wants to know belongs into bnkit/families.py"


def loaded_after(statement):
    code = f"{statement}\nimport sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in result.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    [
        "import bnkit",
        "import bnkit.main",
        "import bnkit.command_line",
        "import bnkit.commands",
        "from bnkit import Settings, layers; layers.names()",
    ],
)
def test_light_imports_stay_light(statement):
    loaded = loaded_after(statement)
    assert "bnkit" in loaded
    assert not loaded & {"tensorflow", "keras", "pandas", "matplotlib", "numpy", "scipy"}


def test_what_trains_and_what_waits_load_nothing_that_draws():
    # The recorder draws for its user, who asks for it.
    used = {
        name
        for path in module_files()
        if module_of(path) in {"callbacks", "experiment", "training", "probes", "study"}
        and path.as_posix() != "callbacks/recorder.py"
        for name in imports(path)
        if name.startswith("bnkit.report.")
    }
    assert "bnkit.report.statistics.headline.headline" in used
    parts = (name.rpartition(".") for name in used)
    loaded = loaded_after("\n".join(f"from {module} import {name}" for module, _, name in parts))
    assert "pandas" in loaded
    assert not loaded & {"seaborn", "matplotlib", "scipy", "statsmodels", "tensorflow"}


def test_every_public_name_resolves():
    for name in bnkit.__all__:
        assert getattr(bnkit, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        bnkit.no_such_name  # noqa: B018
