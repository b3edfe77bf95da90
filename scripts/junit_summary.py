#!/usr/bin/python3
"""junit_summary.py REPORT: what a ctest or pytest report says, in the words of scripts/test.sh.

Prints "skipped: NAME: REASON" for each test that did not run, the lines of passed programs that begin with "note: ", and "N passed, N failed, N skipped" as the last line.
"""
import re
import sys
import xml.etree.ElementTree as xml


def reason(case, skipped):
    """pytest says why in the message; a program run by ctest says it in the last line that it prints."""
    output = (case.findtext("system-out") or "").strip().splitlines()
    return output[-1] if output else skipped.get("message", "no reason given")


def main(report):
    passed = failed = skipped = 0
    for case in xml.parse(report).iter("testcase"):
        name = case.get("name")
        mark = case.find("skipped")
        # ctest: a test that could not be started, or was disabled, has a status instead of a failure.
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            failed += 1
        elif mark is not None or case.get("status") in ("notrun", "disabled"):
            skipped += 1
            print(f"skipped: {name}: {reason(case, mark if mark is not None else case)}")
        else:
            passed += 1
            print(*re.findall(r"^note: .*\n", case.findtext("system-out") or "", re.MULTILINE), sep="", end="")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main(sys.argv[1])
