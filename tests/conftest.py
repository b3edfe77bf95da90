# SPDX-License-Identifier: Apache-2.0
"""Where tests in Python find things, here and in the processes that they start; scripts/test.sh says the same, so that pytest can be run by hand too.

Python cannot load a library that is built with ASan, so the clients of the tests are those of the release build, whatever build chatd is of."""

import os
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent
PATHS = [str(TESTS.parent / "bindings" / "python"), str(TESTS)]

sys.path[:0] = PATHS
os.environ["PYTHONPATH"] = os.pathsep.join(PATHS)
os.environ.setdefault("LIBCHAT_PATH", str(TESTS.parent / "build" / "release" / "lib"))
