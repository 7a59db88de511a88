"""Jobs that the statements of a Python module register, followed without executing it.

Statements with values that are not known are skipped: the names that they assign become
unknown, and the jobs in them are reported.
"""

from __future__ import annotations

import ast
import warnings
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from afterrun_exporter.importers.model import Source, Unmapped
from afterrun_exporter.importers.python_expressions import (
    ALL,
    MAX_DEPTH,
    Evaluator,
    Scope,
)
from afterrun_exporter.importers.python_syntax import (
    CLASS,
    STATE_CALLS,
    assigned_names,
    changed,
    is_registry,
    jobs_in,
    leaves,
    parameters,
    paths_of,
    registrations_in,
    title,
)
from afterrun_exporter.importers.python_values import (
    TIMEDELTA,
    Function,
    Namespace,
    Opaque,
    Record,
    Unresolved,
    binary,
    foreign,
    items,
    limited,
    why,
)

#: The maximum size of a file in characters.
MAX_SIZE: Final = 2**20
_MAX_IMPORTS: Final = 20
#: The name under which manifests are executed.
_RUN_NAME: Final = "zerg_jobs_manifest"
_STANDARD: Final[Mapping[str, Mapping[str, Any]]] = {
    "datetime": {"timedelta": TIMEDELTA},
    "typing": {"TYPE_CHECKING": False},
}
_MAX_CALLS: Final = 20
_HARMLESS: Final = (ast.Pass, ast.Global, ast.Nonlocal, ast.Assert)


@dataclass(frozen=True, slots=True)
class Registration:
    """A job that is registered."""

    job: Record
    source: Source


class _Return(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class _Break(Exception):  # noqa: N818
    pass


class _Continue(Exception):  # noqa: N818
    pass


@dataclass(slots=True)
class Modules:
    """Follows modules of which the texts are known, by file name."""

    texts: Mapping[str, str]
    registrations: list[Registration] = field(default_factory=list)
    #: Ids of jobs that are enabled, disabled or unregistered afterwards.
    calls: list[tuple[str, str]] = field(default_factory=list)
    unmapped: set[Unmapped] = field(default_factory=set)
    _loaded: dict[str, Scope] = field(default_factory=dict)
    _trees: dict[str, ast.Module] = field(default_factory=dict)
    _evaluator: Evaluator = field(init=False)
    _depth: int = 0
    #: The file of the manifest, beside which modules are found.
    _root: str = ""

    def __post_init__(self) -> None:
        self._evaluator = Evaluator(self._apply, self._called)

    def run(self, file: str) -> None:
        """Follow *file* as the manifest, and report the jobs that were not reached."""
        self._root = file
        self._load(file, _RUN_NAME)
        reached = self._evaluator.visited
        for name, tree in self._trees.items():
            for node in jobs_in([tree]):
                if id(node) not in reached:
                    reason = "is not reached: it is in code that is not followed"
                    self._report(name, node.lineno, title(node), reason)
        self._report_unregistered()

    def _report_unregistered(self) -> None:
        registered = {id(one.job) for one in self.registrations}
        lines = {one.source for one in self.unmapped}
        for one in self._evaluator.records:
            if id(one) not in registered and Source(one.file, one.line) not in lines:
                job_id = one.values.get("id")
                text = f"{CLASS}(id={job_id!r})" if isinstance(job_id, str) else CLASS
                self._report(one.file, one.line, text, "is never registered")

    def _load(self, file: str, name: str) -> Scope:
        """Return the variables of the module in *file*, which is followed once."""
        if file in self._loaded:
            return self._loaded[file]
        scope: Scope = {"__name__": name, "__file__": file}
        self._loaded[file] = scope
        if len(self._loaded) > _MAX_IMPORTS:
            self._report(file, 0, file, f"more than {_MAX_IMPORTS} files are imported")
            return scope
        tree = self._parsed(file)
        if tree is None:
            return scope
        self._trees[file] = tree
        before, self._evaluator.file = self._evaluator.file, file
        depth = self._evaluator.depth
        try:
            self._run(tree.body, scope)
        except (_Return, _Break, _Continue):
            pass  # It is invalid outside a function: what follows is not reached.
        except (Unresolved, RecursionError) as error:
            if self._evaluator.is_exhausted or isinstance(error, RecursionError):
                reason = "takes too many steps; what follows is not imported"
                self._report(file, 0, "the file", reason)
        finally:
            self._evaluator.file = before
            self._evaluator.depth = depth
        return scope

    def _parsed(self, file: str) -> ast.Module | None:
        text = self.texts[file]
        if len(text) > MAX_SIZE:
            reason = f"larger than {MAX_SIZE // 2**20}MiB"
            self._report(file, 0, "the file", reason)
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(text)
        except SyntaxError as error:
            reason = f"is not Python: {error.msg}"
            self._report(file, error.lineno or 0, "the file", reason)
        except UnicodeEncodeError:
            self._report(file, 0, "the file", "is not UTF-8")
        except (ValueError, RecursionError, MemoryError) as error:
            reason = f"cannot be read: {str(error) or 'nested too deeply'}"
            self._report(file, 0, "the file", reason)
        return None

    def _run(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        evaluator = self._evaluator
        evaluator.depth += 1
        try:
            for node in body:
                try:
                    evaluator.step(node)
                    self._statement(node, scope)
                except Unresolved as error:
                    if evaluator.is_exhausted:
                        raise
                    self._skip(node, error, scope)
        finally:
            evaluator.depth -= 1

    def _statement(self, node: ast.stmt, scope: Scope) -> None:
        if self._evaluator.depth > MAX_DEPTH:
            raise Unresolved(
                f"is nested more than {MAX_DEPTH} levels deep", node.lineno
            )
        method = getattr(self, f"stmt_{type(node).__name__.lower()}", None)
        if method is not None:
            method(node, scope)
        elif not isinstance(node, _HARMLESS):
            raise Unresolved(
                f"{type(node).__name__.lower()} is not followed", node.lineno
            )

    def _skip(self, node: ast.stmt, error: Unresolved, scope: Scope) -> None:
        """Forget everything that *node* may change, and report the jobs in it."""
        opaque = Opaque(error.reason, line=error.line or node.lineno)
        for name in changed(node, scope):
            scope[name] = opaque
        jobs = list(jobs_in([node]))
        self._evaluator.steps += len(jobs) + sum(1 for _ in ast.walk(node)) // 10
        for job in jobs:
            self._report_unknown(job, title(job), opaque)
            self._evaluator.visited.add(id(job))
        if not jobs:
            for call, text in registrations_in(node, scope):
                self._report_unknown(call, text, opaque)
        if isinstance(node, ast.Raise) or leaves(node):
            raise error

    def _report_unknown(self, node: ast.Call, text: str, opaque: Opaque) -> None:
        is_repeated = id(node) in self._evaluator.visited
        what = "is not imported each time" if is_repeated else "is not imported"
        reason = f"{what}: a value is not constant: {why(opaque, node.lineno)}"
        self._report(self._evaluator.file, node.lineno, text, reason)

    def _report(self, file: str, line: int, text: str, reason: str) -> None:
        self.unmapped.add(Unmapped(Source(file, line), text, reason))

    def _called(self, owner: Opaque, name: str, values: list[Any]) -> bool:
        """Record the call of a method of the registry; return False if it is another."""
        value = values[0] if len(values) == 1 else None
        if name == "register" and isinstance(value, Record):
            source = Source(value.file, value.line)
            self.registrations.append(Registration(value, source))
            return True
        if is_registry(owner.name) and name in STATE_CALLS and isinstance(value, str):
            self.calls.append((name, value))
            return True
        return False

    def _apply(
        self, function: Function, values: list[Any], named: dict[str, Any]
    ) -> Any:
        """Return the result of a *function* of a module."""
        if self._depth > _MAX_CALLS:
            raise Unresolved("functions call each other too deeply")
        bound, defaults = parameters(function.node, values, named)
        for key, one in defaults.items():
            bound[key] = self._evaluator.value(one, function.scope)
        scope = ChainMap(bound, function.scope)
        before, self._evaluator.file = self._evaluator.file, function.file
        self._depth += 1
        try:
            self._run(function.node.body, scope)
        except _Return as result:
            return result.value
        finally:
            self._depth -= 1
            self._evaluator.file = before
        return None

    def stmt_expr(self, node: ast.Expr, scope: Scope) -> None:
        self._evaluator.value(node.value, scope)

    def stmt_assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self._evaluator.value(node.value, scope)
        for target in node.targets:
            self._evaluator.assign(target, value, scope)

    def stmt_annassign(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            value = self._evaluator.value(node.value, scope)
            self._evaluator.assign(node.target, value, scope)

    def stmt_augassign(self, node: ast.AugAssign, scope: Scope) -> None:
        target = node.target
        read: ast.expr = ast.Name(target.id) if isinstance(target, ast.Name) else target
        ast.copy_location(read, target)
        before = self._evaluator.value(read, scope)
        value = self._evaluator.value(node.value, scope)
        if isinstance(before, list) and isinstance(node.op, ast.Add):
            before += items(value)
            limited(before)
        else:
            self._evaluator.assign(target, binary(type(node.op), before, value), scope)

    def stmt_delete(self, node: ast.Delete, scope: Scope) -> None:
        for target in node.targets:
            if not isinstance(target, ast.Name):
                raise Unresolved("a deletion that is not followed")
            scope.pop(target.id, None)

    def stmt_if(self, node: ast.If, scope: Scope) -> None:
        is_true = self._evaluator.truth(self._evaluator.value(node.test, scope))
        branch, other = (node.body, node.orelse)[:: 1 if is_true else -1]
        for one in other:
            self._evaluator.ignore(one)
        self._run(branch, scope)

    def _goes_on(self, body: Sequence[ast.stmt], scope: Scope) -> bool:
        """Run the *body* of a loop once; return False if it breaks the loop."""
        try:
            self._run(body, scope)
        except _Break:
            return False
        except _Continue:
            pass
        return True

    def stmt_for(self, node: ast.For, scope: Scope) -> None:
        for one in items(self._evaluator.value(node.iter, scope)):
            self._evaluator.assign(node.target, one, scope)
            if not self._goes_on(node.body, scope):
                return
        self._run(node.orelse, scope)

    def stmt_while(self, node: ast.While, scope: Scope) -> None:
        while self._evaluator.truth(self._evaluator.value(node.test, scope)):
            self._evaluator.step(node)
            if not self._goes_on(node.body, scope):
                return
        self._run(node.orelse, scope)

    def stmt_try(self, node: ast.Try, scope: Scope) -> None:
        self._run((*node.body, *node.orelse, *node.finalbody), scope)
        opaque = Opaque("an exception handler may set it", line=node.lineno)
        for handler in node.handlers:
            for name in assigned_names(handler):
                scope[name] = opaque

    def stmt_break(self, _node: ast.Break, _scope: Scope) -> None:
        raise _Break

    def stmt_continue(self, _node: ast.Continue, _scope: Scope) -> None:
        raise _Continue

    def stmt_return(self, node: ast.Return, scope: Scope) -> None:
        value = None if node.value is None else self._evaluator.value(node.value, scope)
        raise _Return(value)

    def stmt_raise(self, node: ast.Raise, _scope: Scope) -> None:
        reason = "raises an exception here; what follows is not imported"
        self._report(self._evaluator.file, node.lineno, "raise", reason)
        raise Unresolved("an exception is raised", node.lineno)

    def stmt_functiondef(self, node: ast.FunctionDef, scope: Scope) -> None:
        is_generator = any(
            isinstance(one, ast.Yield | ast.YieldFrom) for one in ast.walk(node)
        )
        if node.decorator_list or is_generator:
            raise Unresolved(f"calls {node.name}, which is not followed")
        scope[node.name] = Function(node, scope, self._evaluator.file)

    def stmt_asyncfunctiondef(self, node: ast.AsyncFunctionDef, scope: Scope) -> None:
        reason = f"calls {node.name}, which is not followed"
        scope[node.name] = Opaque(reason, line=node.lineno)

    def stmt_classdef(self, node: ast.ClassDef, scope: Scope) -> None:
        values: dict[str, Any] = {}
        self._run(node.body, ChainMap(values, scope))
        scope[node.name] = Namespace(node.name, values)

    def stmt_import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            file = self._find(alias.name, 0)
            module: Any
            if alias.name in _STANDARD:
                module = Namespace(alias.name, dict(_STANDARD[alias.name]))
            elif file is not None and (alias.asname or "." not in alias.name):
                module = Namespace(alias.name, self._load(file, alias.name))
            else:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                module = foreign(name)
            scope[alias.asname or alias.name.partition(".")[0]] = module

    def stmt_importfrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = node.module or ""
        file = self._find(module, node.level)
        values: Mapping[str, Any] = _STANDARD.get(module, {})
        if file is not None:
            values = self._load(file, module)
        for alias in node.names:
            if alias.name == "*":
                scope.update({k: v for k, v in values.items() if k[:1] != "_"})
                if file is None:
                    scope[ALL] = True
                continue
            inner = self._find(f"{module}.{alias.name}".strip("."), node.level)
            if alias.name in values:
                value = values[alias.name]
            elif inner is not None:
                value = Namespace(alias.name, self._load(inner, alias.name))
            else:
                value = foreign(f"{module}.{alias.name}".strip("."))
            scope[alias.asname or alias.name] = value

    def _find(self, module: str, level: int) -> str | None:
        """Return the given file of *module*, or None."""
        beside = self._evaluator.file if level else self._root
        return next(
            (one for one in paths_of(module, level, beside) if one in self.texts), None
        )
