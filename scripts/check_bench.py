#!/usr/bin/python3
"""check_bench.py BUILD: runs every scenario of bench/ as small as can be and reads its results.json (called by scripts/test.sh). No figure is judged, but each must be one."""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))
sys.dont_write_bytecode = True
from run import SCENARIOS  # noqa: E402
from runner.results import meets  # noqa: E402

FIELDS = {"scenario": str, "metric": str, "value": (int, float), "unit": str, "baseline": (int, float, str, type(None)), "goal": (str, type(None)),
          "met": (bool, type(None))}


def problems(rows):
    """What is wrong with the rows, one text each."""
    for row in rows:
        if set(row) != set(FIELDS) or not all(isinstance(row[field], kind) for field, kind in FIELDS.items()):
            yield f"not of the form: {row}"
        elif not math.isfinite(row["value"]) or row["value"] < 0:
            yield f"no figure: {row}"
        elif (row["goal"] is None) != (row["met"] is None) or row["goal"] and row["met"] != meets(row["value"], row["goal"]):
            yield f"goal and value do not agree: {row}"
    # A row is named after its scenario, with what form of it where there are several.
    named = {row["scenario"].lower().replace(" ", "_") for row in rows}
    for scenario in SCENARIOS:
        if not any(name.startswith(scenario) for name in named):
            yield f"no figure of {scenario}"
    if len({(row["scenario"], row["metric"]) for row in rows}) != len(rows):
        yield "two rows have one name"


def main(build):
    with tempfile.TemporaryDirectory() as folder:
        status = subprocess.run([sys.executable, ROOT / "bench" / "run.py", "--smoke", "--build", build, "--output", folder], check=False).returncode
        rows = json.loads((pathlib.Path(folder) / "results.json").read_text())
    found = list(problems(rows))
    print(*found, sep="\n")
    print(f"note: {len(SCENARIOS)} scenarios ran, {len(rows)} figures")
    return 1 if found or status else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
