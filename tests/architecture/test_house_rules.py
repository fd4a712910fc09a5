"""The rules of the house that no linter knows: sizes, and one home per vendor SDK."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("contracts", "chassis", "slo_rules", "agent", "controller", "serving", "grafana", "alerts", "trimtab")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
SDK_HOMES = {
    "pynvml": "agent/probes/",
    "docker": "agent/runtimes/",
    "prometheus_api_client": "controller/sources/prometheus",
    "apscheduler": "controller/app",
    "onnxruntime": "serving/",
    "sqlalchemy": "controller/journal/",
    "alembic": "controller/journal/",
    "redis": "serving/cache",
    "grafana_foundation_sdk": "grafana/",
}
"""SDK → the one place that may import it, where its values are converted to ours."""


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def test_the_house_has_files() -> None:
    assert len(sources()) > 50


@pytest.mark.parametrize("path", sources(), ids=named)
def test_no_file_is_over_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX


@pytest.mark.parametrize("path", sources(), ids=named)
def test_no_function_is_over_60_lines(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    too_long = [f.name for f in functions if (f.end_lineno or f.lineno) - f.lineno + 1 > FUNCTION_LINES_MAX]
    assert not too_long


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    from_ = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    return {name.split(".")[0] for name in plain | from_}


@pytest.mark.parametrize(("sdk", "home"), SDK_HOMES.items())
def test_each_vendor_sdk_has_one_home(sdk: str, home: str) -> None:
    users = [named(path) for path in sources() if sdk in imports_of(path)]
    assert users, f"{sdk} is a dependency that nobody imports"
    assert all(user.startswith(home) for user in users), users


def test_every_package_module_starts_with_a_docstring() -> None:
    silent = [
        named(path)
        for path in sources()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_nothing_names_a_path_of_the_machine_it_was_written_on() -> None:
    text_files = [
        path
        for pattern in ("*.py", "*.md", "*.toml", "*.yml", "*.yaml", "Makefile", "*.sh")
        for path in REPOSITORY.rglob(pattern)
        if not any(part.startswith(".") for part in path.relative_to(REPOSITORY).parts)
    ]
    forbidden = ("/" + "work/main", "/" + "root/")
    guilty = [named(path) for path in text_files if any(word in path.read_text() for word in forbidden)]
    assert not guilty
