"""Every public function says what it takes and what it gives back; mypy checks that they say it rightly."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
# The two that a user calls without naming them, or the module of a package.
PUBLIC_ALL_THE_SAME = {"__init__", "__call__"}


def is_public(name):
    return name in PUBLIC_ALL_THE_SAME or not name.startswith("_")


LIBRARY = sorted(
    str(file.relative_to(ROOT))
    for folder in ("metric_learning", "miners")
    for file in (ROOT / folder).rglob("*.py")
    if is_public(file.stem)
)


def public_functions(body, owner=None):
    """(function, whether its first argument is the object or its class) of a module's or a class's public functions."""
    for node in body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            yield from public_functions(node.body, owner=node)
        elif isinstance(node, ast.If | ast.Try):  # a function defined under a condition
            yield from public_functions(node.body, owner)
            yield from public_functions(node.orelse, owner)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
            static = any(getattr(mark, "id", None) == "staticmethod" for mark in node.decorator_list)
            yield node, owner is not None and not static


def without_types(source):
    """`line: function lacks argument, ..., return` of every public function with something not annotated."""
    for function, is_bound in public_functions(ast.parse(source).body):
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args][is_bound:] + arguments.kwonlyargs
        named += [rest for rest in (arguments.vararg, arguments.kwarg) if rest]
        lacking = [argument.arg for argument in named if argument.annotation is None]
        lacking += ["return"] if function.returns is None else []
        if lacking:
            yield f"{function.lineno}: {function.name} lacks {', '.join(lacking)}"


def test_the_walk_sees_every_kind_of_argument_and_spares_private_functions():
    source = """
def f(a, /, b: int, *c, d, **e):
    def inside(x): pass
def _g(a): pass
class K:
    def __init__(self, a: int): pass
    def __call__(self) -> None: pass
    def __len__(self): pass
    @property
    def size(self): pass
    @staticmethod
    def h(a) -> int: pass
    @classmethod
    def i(cls) -> int: pass
class _P:
    def j(self): pass
"""
    assert list(without_types(source)) == [
        "2: f lacks a, d, c, e, return",
        "6: __init__ lacks return",
        "10: size lacks return",
        "12: h lacks a",
    ]


@pytest.mark.parametrize("file", LIBRARY)
def test_a_public_function_has_types(file):
    assert [f"{file}:{lack}" for lack in without_types((ROOT / file).read_text())] == []
