#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ffi.py INCLUDE: with -DCHAT_FFI each public header is, by itself and after nothing but the preprocessor, plain declarations: no directive, no attribute, and
a parser of plain C reads them."""
import pathlib
import subprocess
import sys

import cffi


def preprocessed(include, name):
    command = ["cc", "-E", "-P", "-DCHAT_FFI", f"-I{include}", "-x", "c", "-"]
    return subprocess.run(command, input=f"#include <chat/{name}>\n", capture_output=True, text=True, check=True).stdout


def check(include, name):
    text = preprocessed(include, name)
    for word in ("__attribute__", "#", "inline", "extern"):
        assert word not in text, f"{name}: {word}"
    ffi = cffi.FFI()
    ffi.cdef(text)
    assert ffi.list_types()[0], f"{name}: declares no type"


def main(include):
    names = sorted(path.name for path in pathlib.Path(include, "chat").glob("*.h"))
    for name in names:
        check(include, name)
    print(", ".join(names))


if __name__ == "__main__":
    main(sys.argv[1])
