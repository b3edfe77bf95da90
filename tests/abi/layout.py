#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""layout.py INCLUDE DESCRIPTION [--update]: constants and structs of all public headers, as a foreign function interface lays them out.

Beside libabigail's description of the libraries, because that has only what an exported function reaches: no constant, and of backend.h no op.
A struct is its size, then a line for each member: where it begins, its name, its type.
"""
import difflib
import pathlib
import re
import subprocess
import sys

import cffi

HEADERS = ("chat.h", "client.h", "server.h", "backend.h")


def declarations(include):
    """The headers after the preprocessor, as -DCHAT_FFI promises them."""
    lines = "".join(f"#include <chat/{name}>\n" for name in HEADERS)
    command = ["cc", "-E", "-P", "-DCHAT_FFI", f"-I{include}", "-x", "c", "-"]
    return subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout


def constants(ffi, text):
    library = ffi.dlopen(None)  # a constant is known without any library; cffi gives it through one
    for name in dict.fromkeys(re.findall(r"\b(CHAT_[A-Z0-9_]+)(?= = |,|\s*})", text)):  # each once, in their order
        yield f"{name} = {getattr(library, name)}"


def structs(ffi):
    types = {ffi.typeof(name) for name in ffi.list_types()[0]} | {ffi.typeof(f"struct {name}") for name in ffi.list_types()[1]}
    for kind in sorted((kind for kind in types if kind.kind == "struct" and kind.fields is not None), key=lambda kind: kind.cname):
        yield f"{kind.cname} {ffi.sizeof(kind)}"
        for name, field in kind.fields:
            yield f"  {field.offset} {name} {field.type.cname}"


def describe(include):
    text = declarations(include)
    ffi = cffi.FFI()
    ffi.cdef(text)
    return [*constants(ffi, text), *structs(ffi)]


def main(include, description, update=None):
    found, path = describe(include), pathlib.Path(description)
    if update:
        path.write_text("\n".join(found) + "\n")
        return 0
    difference = list(difflib.unified_diff(path.read_text().splitlines(), found, path.name, "the headers", n=2, lineterm=""))
    if difference:
        print("\n".join(difference))
        print(f"lines taken away break programs: undo it, or raise the major version. Lines added do not, at the end of a struct. Then: make abi, and commit {path.name}")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
