"""What a package of ours imports from outside."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported_by(package):
    """Top names of all modules that the package's files import, Python's own and ours apart."""
    names = set()
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"workloads", "tune_spaces", "orchestrator"}
