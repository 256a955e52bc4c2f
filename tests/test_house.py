"""The house rules, as tests: lint, format, types, import contracts, sizes."""

import ast
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SOURCES = sorted((ROOT / "mlc_cli").rglob("*.py"))


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check"),
        ("ruff", "format", "--check"),
        ("mypy",),
        ("lint-imports", "--no-cache"),
    ],
    ids=" ".join,
)
def test_tool_finds_nothing(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_sources_are_found() -> None:
    assert len(SOURCES) > 50


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_fits_on_a_few_screens(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_functions_are_short() -> None:
    lengths = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                lengths[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = lines
    assert len(lengths) > 1000
    assert statistics.median(lengths.values()) <= 10
    assert {name: n for name, n in lengths.items() if n > 50} == {}


def test_imports_are_not_deep() -> None:
    graph = grimp.build_graph("mlc_cli", exclude_type_checking_imports=True, cache_dir=None)
    system = "mlc_cli.core.system"  # a store is reached when a file turns out to be in one
    graph.remove_import(importer=f"{system}.files", imported=f"{system}.remote")

    @cache
    def depth(module: str) -> int:
        imported = graph.find_modules_directly_imported_by(module)
        return 1 + max(map(depth, imported), default=0)

    assert max(map(depth, graph.modules)) <= 14
