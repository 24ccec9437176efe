"""The data go one way: a module imports only from rows above its own."""

import ast
import pathlib
import subprocess
import sys

import pytest

import bnkit

ROOT = pathlib.Path(bnkit.__file__).parent
ROWS = {
    "kinds": 0, "settings": 0, "schedules": 0, "store": 0,
    "layers": 1, "data": 1, "losses": 1, "report": 1,
    "probes": 2, "models": 2,
    "training": 3,
    "callbacks": 4,
    "experiment": 5,
    "study": 6,
    "main": 7,
}  # fmt: skip
WITHOUT_TENSORFLOW = {"kinds", "settings", "schedules", "store", "report", "study"}
MAY_NOT = {
    "layers": {"settings"},
    "probes": {"store", "callbacks"},
    "training": {"store"},
}
MAY_READ_FLAGS = {"main.py", "report/__main__.py"}


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


def loaded_after(statement):
    code = f"{statement}\nimport sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in result.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    ["import bnkit", "import bnkit.main", "from bnkit import Settings, layers; layers.names()"],
)
def test_light_imports_stay_light(statement):
    loaded = loaded_after(statement)
    assert "bnkit" in loaded
    assert not loaded & {"tensorflow", "keras", "pandas", "matplotlib", "numpy"}


def test_every_public_name_resolves():
    for name in bnkit.__all__:
        assert getattr(bnkit, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        bnkit.no_such_name  # noqa: B018
