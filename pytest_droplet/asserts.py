"""Whether a false ``assert`` raises: where asserts are off every check passes, whatever it saw."""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType

from pytest_droplet import checks
from pytest_droplet.catalogue import shipped

_PLAIN = frozenset({"LOAD_ASSERTION_ERROR", "LOAD_COMMON_CONSTANT"})
_OPCODES = frozenset(dis.opmap[name] for name in _PLAIN if name in dis.opmap)
_REWRITTEN = "@pytest_ar"
_Place = tuple[str, int]


def off_in_python() -> str | None:
    """Return why no plain ``assert`` raises in this interpreter; None: they do."""
    if sys.flags.optimize:
        return (
            "Python runs with asserts turned off (-O or PYTHONOPTIMIZE), so that every check would"
            " pass; run it without"
        )
    return None


def off_in_shipped() -> str | None:
    """Return why a false ``assert`` of a shipped check does not raise; None: it does."""
    try:
        checks.assert_nothing()
    except AssertionError:
        return off_in(check.function for check in shipped().values())
    return _why(checks.__name__, "")


def off_in(functions: Iterable[Callable[..., object]]) -> str | None:
    """Return why a false ``assert`` does not raise in a module of these functions.

    A module is compiled as a whole, so that one ``assert`` that raises proves it for all of them.
    Where none does, a function whose source has one shows that they were left out. A module
    without an ``assert`` has nothing to prove.

    Returns:
        One line with the module's name and what to do; None: all of them raise.
    """
    modules: dict[int, list[FunctionType]] = {}
    for function in functions:
        for found in _functions(function):
            modules.setdefault(id(found.__globals__), []).append(found)
    reasons = map(_off_in_module, modules.values())
    return next((reason for reason in reasons if reason is not None), None)


def _off_in_module(functions: list[FunctionType]) -> str | None:
    if any(_asserts(code) for f in functions for code in _codes(f.__code__)):
        return None
    namespace = functions[0].__globals__
    name = namespace.get("__name__", "?")
    others = (f for value in namespace.values() for f in _functions(value))
    members = [*functions, *(f for f in others if f.__globals__ is namespace)]
    codes = {code for f in members for code in _codes(f.__code__)}
    if any(map(_asserts, codes)):
        return None
    lines = linecache.getlines(functions[0].__code__.co_filename, namespace)
    try:
        written = set(_places_with_asserts(ast.parse("".join(lines))))
    except (SyntaxError, ValueError):
        lines = []
    if not lines:
        return _why(name, ", and its source cannot be read")
    return _why(name, "") if any(_place(code) in written for code in codes) else None


def _why(name: str, more: str) -> str:
    return (
        f"{name}: no assert of this module raises{more}, so that its checks would pass;"
        " delete its compiled files (__pycache__), and run it from its source"
    )


def _functions(value: object) -> Iterator[FunctionType]:
    """Yield a function as it was written: below its decorators, or the methods of a class."""
    todo, seen = [value], set()
    while todo:
        found = todo.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, type):
            todo.extend(vars(found).values())
            continue
        todo.extend(inspect.getattr_static(found, n, None) for n in ("__func__", "__wrapped__"))
        if isinstance(found, FunctionType):
            yield found
            todo.extend(_enclosed(found))


def _enclosed(function: FunctionType) -> Iterator[FunctionType]:
    """Yield the functions that a decorator without ``functools.wraps`` holds on to."""
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        if isinstance(content, FunctionType):
            yield content


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _asserts(code: CodeType) -> bool:
    """Whether a code object raises by an ``assert``: a plain one, or one that pytest rewrote."""
    if _REWRITTEN in code.co_names:
        return True
    if _OPCODES.isdisjoint(code.co_code[::2]):  # most functions need not be taken apart
        return False
    return any(
        found.opname in _PLAIN and found.argrepr in {"", "AssertionError"}
        for found in dis.get_instructions(code)
    )


def _place(code: CodeType) -> _Place:
    return code.co_name, code.co_firstlineno


def _places_with_asserts(tree: ast.Module) -> Iterator[_Place]:
    """Yield the functions with an ``assert`` that Python does not leave out anyway."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _has_assert(node):
            first = min((d.lineno for d in node.decorator_list), default=node.lineno)
            yield node.name, first


def _has_assert(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    todo: list[ast.AST] = [*function.body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant | ast.Tuple):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(node))
    return False
