"""The science must run where the orchestra's packages are not installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WALK = """
import importlib, pkgutil, sys
for name in ("ray", "mlflow", "pydantic", "typer", "rich"):
    sys.modules[name] = None
import workloads
found = ["workloads", *(m.name for m in pkgutil.walk_packages(workloads.__path__, "workloads."))]
for name in found:
    importlib.import_module(name)
print(*found)
"""


def test_workloads_and_all_its_modules_import_without_the_orchestra() -> None:
    done = subprocess.run([sys.executable, "-c", WALK], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = {p.relative_to(ROOT).with_suffix("").as_posix() for p in (ROOT / "workloads").rglob("*.py")}
    assert set(done.stdout.split()) == {f.removesuffix("/__init__").replace("/", ".") for f in files}
