"""What a reader can take in at once: functions below 50 lines, files below 400, packages of at most 15 modules, short
examples."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES, OF_A_FILE, MODULES = 50, 400, 15
FILES = [file for name in ("workloads", "tune_spaces", "orchestrator") for file in sorted((ROOT / name).rglob("*.py"))]


def long_functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    name = file.relative_to(ROOT)
    return {f"{name} {node.name}" for node in functions if (node.end_lineno or 0) - node.lineno >= LINES}


def test_functions_are_short() -> None:
    assert set().union(*map(long_functions, FILES)) == set()


def test_files_are_short() -> None:
    assert {
        str(file.relative_to(ROOT)) for file in FILES if len(file.read_text("utf-8").splitlines()) >= OF_A_FILE
    } == set()


def test_packages_are_small() -> None:
    packages = {file.parent for file in FILES}
    large = {str(p.relative_to(ROOT)) for p in packages if sum(file.parent == p for file in FILES) > MODULES}
    assert large == set()


def test_the_examples_of_methods_are_short() -> None:
    text = (ROOT / "examples" / "own_method.py").read_text(encoding="utf-8")
    autoencoder, marker, gaussian = text.partition("@dataclass(frozen=True)\nclass GaussianConfig")
    assert autoencoder.count("\n") <= 80, "with the imports that both need"
    assert 0 < (marker + gaussian).count("\n") <= 40
