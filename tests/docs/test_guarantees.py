from __future__ import annotations

import ast
import re

import pytest

from .pages import ROOT, page

NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page("guarantees.md"))))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_named_tests_exist(path: str, name: str) -> None:
    """Each promise names a test that there is, and that says what it keeps."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))

    [test] = [
        node
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name == name
    ]
    assert ast.get_docstring(test)


def test_each_promise_names_one() -> None:
    """No row of the tables is a promise without a test."""
    rows = re.findall(r"^\| (.+) \|$", page("guarantees.md"), re.MULTILINE)
    promises = [row for row in rows if row != "promise | kept by" and "---" not in row]

    assert len(promises) > 30
    assert [row for row in promises if "::test_" not in row] == []
