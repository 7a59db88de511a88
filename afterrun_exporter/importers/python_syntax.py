"""Calls and names in the syntax tree of a Python module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from posixpath import dirname, join, normpath
from typing import Any, Final

from afterrun_exporter.importers.python_values import (
    BUILTINS,
    Function,
    Namespace,
    Opaque,
    Record,
    Unresolved,
)

#: The class whose objects are jobs.
CLASS: Final = "JobConfig"
#: Its parameters in order.
PARAMETERS: Final = (
    "id", "cron", "func", "enabled", "timeout_seconds", "max_attempts", "tags",
    "project", "description", "queue_mode", "secrets",
)  # fmt: skip
#: Methods of the registry that have the id of a job as argument.
STATE_CALLS: Final = frozenset({"enable", "disable", "unregister"})
_REGISTRY = re.compile(r"regist", re.IGNORECASE)
_LOGS: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
_SHOWN: Final = 60


def is_registry(name: str) -> bool:
    """Return True if *name* is that of a registry of jobs."""
    return _REGISTRY.search(name) is not None


def jobs_in(nodes: Sequence[ast.AST]) -> Iterator[ast.Call]:
    """Yield the calls that make a job in *nodes*."""
    for root in nodes:
        for node in ast.walk(root):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name == CLASS:
                    yield node


def title(node: ast.Call) -> str:
    """Return a call of the class for messages, by its id."""
    for keyword in node.keywords:
        if keyword.arg == "id":
            return f"{CLASS}(id={_text(keyword.value)})"
    return f"{CLASS}({_text(node.args[0]) if node.args else '...'})"


def _text(node: ast.expr) -> str:
    try:
        return ast.unparse(node)[:_SHOWN]
    except RecursionError:
        return "..."


def registrations_in(
    node: ast.AST, scope: Mapping[str, Any]
) -> Iterator[tuple[ast.Call, str]]:
    """Yield the calls in *node*, with their texts, that may register jobs."""
    for one in ast.walk(node):
        if not isinstance(one, ast.Call):
            continue
        function = scope.get(one.func.id) if isinstance(one.func, ast.Name) else None
        registers = isinstance(function, Function) and any(jobs_in([function.node]))
        if isinstance(one.func, ast.Attribute):
            owner = _text(one.func.value)
            is_method = one.func.attr in {"register", *STATE_CALLS}
            registers = is_method and is_registry(owner)
        passes = any(
            isinstance(argument, ast.Name) and is_registry(argument.id)
            for argument in one.args
        )
        if registers or passes:
            yield one, f"{_text(one.func)}(...)"


def assigned_names(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store | ast.Del):
            yield one.id
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield one.name
        elif isinstance(one, ast.alias):
            yield (one.asname or one.name).partition(".")[0]


def changed(node: ast.stmt, scope: Mapping[str, Any]) -> set[str]:
    """Return the names that *node* sets, or whose lists and objects it may change."""
    names = set(assigned_names(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute | ast.Subscript) and isinstance(
            one.ctx, ast.Store | ast.Del
        ):
            names |= {n.id for n in ast.walk(one.value) if isinstance(n, ast.Name)}
        elif isinstance(one, ast.Call) and not _is_harmless(one, scope):
            parts = [*one.args, *(keyword.value for keyword in one.keywords)]
            if isinstance(one.func, ast.Attribute):
                parts.append(one.func.value)
            names |= {
                n.id
                for part in parts
                for n in ast.walk(part)
                if isinstance(n, ast.Name)
                and isinstance(scope.get(n.id), list | dict | Record)
            }
    return names


def _is_harmless(node: ast.Call, scope: Mapping[str, Any]) -> bool:
    """Return True if a call changes none of its arguments."""
    if isinstance(node.func, ast.Name):
        return node.func.id in BUILTINS and node.func.id not in scope
    return getattr(node.func, "attr", "") in _LOGS


def leaves(node: ast.AST, *, in_loop: bool = False) -> bool:
    """Return True if *node* may leave the function or the loop around it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    if isinstance(node, ast.Return):
        return True
    if isinstance(node, ast.Break | ast.Continue):
        return not in_loop
    inner = in_loop or isinstance(node, ast.For | ast.AsyncFor | ast.While)
    return any(
        leaves(one, in_loop=inner)
        for one in ast.iter_child_nodes(node)
        if isinstance(one, ast.stmt | ast.ExceptHandler | ast.match_case)
    )


def is_class(value: object) -> bool:
    """Return True if *value* is the class of jobs."""
    name = value.name if isinstance(value, Opaque | Namespace) else ""
    return name.rpartition(".")[2] == CLASS


def function_of(node: ast.Lambda) -> ast.FunctionDef:
    """Return *node* as a function with a name."""
    result = ast.copy_location(ast.Return(node.body), node)
    function = ast.FunctionDef("lambda", node.args, [result], [])
    return ast.copy_location(function, node)


def parameters(
    node: ast.FunctionDef, values: Sequence[Any], named: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, ast.expr]]:
    """Return the parameters of a call of *node*, and the defaults of the other ones."""
    spec = node.args
    names = [one.arg for one in (*spec.posonlyargs, *spec.args)]
    keywords = [one.arg for one in spec.kwonlyargs]
    bound: dict[str, Any] = dict(zip(names, values, strict=False))
    rest, extra = values[len(names) :], dict(named)
    for name in (*names, *keywords):
        if name in extra:
            bound[name] = extra.pop(name)
    defaults: dict[str, ast.expr | None] = dict(
        zip(names[::-1], spec.defaults[::-1], strict=False)
    )
    defaults |= zip(keywords, spec.kw_defaults, strict=True)
    if spec.vararg is not None:
        bound[spec.vararg.arg], rest = tuple(rest), ()
    if spec.kwarg is not None:
        bound[spec.kwarg.arg], extra = extra, {}
    missing = {
        name: one
        for name, one in defaults.items()
        if name not in bound and one is not None
    }
    if rest or extra or not {*names, *keywords} <= {*bound, *missing}:
        raise Unresolved(f"{node.name} is called with other arguments")
    return bound, missing


def paths_of(module: str, level: int, file: str) -> Iterator[str]:
    """Yield the files that an import of *module* in *file* may mean."""
    directory = dirname(file)
    for _ in range(level - 1):
        directory = join(directory, "..")
    path = join(directory, *module.split(".")) if module else directory
    yield normpath(f"{path}.py")
    yield normpath(join(path, "__init__.py"))


def unsuitable(value: Any, expected: str) -> Unresolved:
    """Return the error for a *value* that is not the *expected* thing."""
    if isinstance(value, Opaque):
        return value.unresolved()
    return Unresolved(f"is not {expected}")


def kind_of(node: ast.AST) -> str:
    """Return the kind of *node* for messages."""
    return type(node).__name__.lower()
