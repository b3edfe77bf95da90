#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""branches.py SOURCE EXCEPTIONS < gcovr.json: every branch was taken, or its line is an exception by name; no exception is idle."""
import json
import pathlib
import sys


def read_exceptions(path):
    """{(file, line of source): how many of its branches may be missed}"""
    rows = [line for line in pathlib.Path(path).read_text().splitlines() if line and not line.startswith("#")]
    fields = [[field.strip() for field in row.split(" | ")] for row in rows]
    assert all(len(row) == 4 and row[3] for row in fields), f"{path}: FILE | line | count | reason"
    return {(file, line): int(count) for file, line, count, _ in fields}


def lines_of(report, source):
    """(file, number, text, branches, how many were missed) of each line that has branches."""
    for file in report["files"]:
        texts = pathlib.Path(source, file["file"]).read_text().splitlines()
        for line in file["lines"]:
            counts = [branch["count"] for branch in line["branches"]]
            if counts:
                yield file["file"], line["line_number"], texts[line["line_number"] - 1].strip(), len(counts), counts.count(0)


def main(source, path):
    exceptions, used = read_exceptions(path), set()
    total = excepted = wrong = 0
    for file, number, text, branches, missing in lines_of(json.load(sys.stdin), source):
        total += branches
        if missing and exceptions.get((file, text)) == missing:
            used.add((file, text))
            excepted += missing
        elif missing:
            wrong += 1
            print(f"{file}:{number}: {missing} of {branches} branches not taken: {text}")
    for file, text in exceptions.keys() - used:
        wrong += 1
        print(f"{path}: idle: {file} | {text}")
    assert total, "no branch was measured"
    if not wrong:
        print(f"note: src/core: {total - excepted} of {total} branches taken (asserts excluded), {excepted} excepted by name")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
