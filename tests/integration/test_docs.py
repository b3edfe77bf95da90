# SPDX-License-Identifier: Apache-2.0
"""What documents, headers and comments say of each other is there: pages, sections, links, files, names of tests."""
import pathlib
import re

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ["include", "proto", "src", "tests", "docs", "examples", "bindings", "scripts", "cmake"]
SUFFIXES = {".c", ".h", ".py", ".sh", ".md", ".proto", ".txt", ".cmake"}

CONTINUED = re.compile(r"\s*\n[ \t]*(?:\*(?!/)|#|//)?[ \t]*")  # a comment goes on in the next line
PAGE = re.compile(r"docs/([\w-]+\.md|decisions/\d{4}(?:[\w-]*\.md)?)((?:`?,? \(?\"[^\"\n]{1,60}\"(?: and \"[^\"\n]{1,60}\")*)?)")
LINK = re.compile(r"\]\(([^)\s:]+)\)")  # relative: no scheme
FILE = re.compile(r"`([\w*-]+(?:/[\w*.-]+)+\.(?:c|h|py|sh|md|proto))`(?: \(([a-z]\w*_\w+(?:, \w+)*)\))?")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def texts(root):
    """(name, text) of all that may speak of a document."""
    paths = list(root.glob("*.md"))
    for folder in FOLDERS:
        paths += (path for path in (root / folder).rglob("*") if path.suffix in SUFFIXES and path != pathlib.Path(__file__))
    return [(path, path.read_text()) for path in sorted(paths)]


def pages_found(root, name):
    """The page; a decision is named by its number alone as well."""
    return list((root / "docs").glob(name if name.endswith(".md") else name + "-*.md"))


def sections(page):
    """Headings; of a decision also the points of a list that begin with a *name*."""
    text = FENCED.sub("", page.read_text())
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE)) | set(re.findall(r"^- \*(.+?)\*:", text, re.MULTILINE))


def page_problems(root):
    for path, text in texts(root):
        for name, quoted in PAGE.findall(CONTINUED.sub(" ", text)):
            found = pages_found(root, name)
            if not found:
                yield f"{path.relative_to(root)}: no docs/{name}"
            for section in re.findall(r'"([^"]+)"', quoted):
                if found and section not in sections(found[0]):
                    yield f'{path.relative_to(root)}: docs/{name} has no section "{section}"'


def anchor(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def link_problems(root):
    for path, text in texts(root):
        for link in LINK.findall(FENCED.sub("", text)) if path.suffix == ".md" else []:
            file, _, part = link.partition("#")
            target = (path.parent / file) if file else path
            if not target.exists():
                yield f"{path.relative_to(root)}: no {link}"
            elif part and part not in map(anchor, sections(target)):
                yield f"{path.relative_to(root)}: no section of {link}"


def file_problems(root):
    """`path/of.c` in a document, from the top or from include, src, tests or docs; in brackets behind it names, with a _ in the first, that occur there."""
    for page in sorted((root / "docs").rglob("*.md")) + sorted(root.glob("*.md")):
        for name, words in FILE.findall(CONTINUED.sub(" ", page.read_text())):
            if name.startswith("build/"):
                continue
            found = [path for base in ("", "include", "src", "tests", "docs") for path in (root / base).glob(name)]
            if not found:
                yield f"{page.relative_to(root)}: no {name}"
            elif words:
                there = set(re.findall(r"\w+", found[0].read_text()))
                yield from (f"{page.relative_to(root)}: {name} has no {word}" for word in words.split(", ") if word not in there)


CHECKS = [page_problems, link_problems, file_problems]


@pytest.mark.parametrize("problems", CHECKS)
def test_what_is_named_is_there(problems):
    assert list(problems(SOURCE)) == []


@pytest.mark.parametrize("text, problems", [
    ('docs/here.md, docs/here.md, "Rules", docs/decisions/0001, "Open"', 0),
    ("docs/nowhere.md", 1),
    ("docs/decisions/0002", 1),
    ('docs/here.md, "Rulez"', 1),
    ('docs/here.md ("Rulez")', 1),
    ('`docs/here.md`, "Rulez"', 1),
    ('docs/here.md, "Rules" and "Rulez"', 1),
    ('docs/here.md, "A long\n * name"', 0),
    ('docs/decisions/0001, "Shut"', 1),
    ("[a](docs/here.md) [b](docs/here.md#a-long-name) [c](https://example.org/x.md)", 0),
    ("[a](here.md)", 1),
    ("[a](docs/here.md#rulez)", 1),
    ("`docs/here.md` `x.c` `core/it.c` (one_test, two_test) `core/*.c`", 0),
    ("`core/nothing.c`", 1),
    ("`core/it.c` (one_test, three_test)", 1),
])
def test_what_is_not_there_is_found(tmp_path, text, problems):
    files = {"docs/here.md": "# Here\n## Rules\n### A long name\n```\n# Rulez\n```\n", "docs/decisions/0001-why.md": "# Why\n- *Open*: so\n",
             "src/core/it.c": "one_test two_test", "README.md": text}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert sum(len(list(check(tmp_path))) for check in CHECKS) == problems
