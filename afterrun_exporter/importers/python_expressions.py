"""Evaluation of the expressions of a module, as far as they are constants."""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from afterrun_exporter.importers.python_syntax import (
    CLASS,
    PARAMETERS,
    function_of,
    is_class,
    kind_of,
    unsuitable,
)
from afterrun_exporter.importers.python_values import (
    BUILTINS,
    METHODS,
    PLAIN,
    Builtin,
    Function,
    Namespace,
    Opaque,
    Record,
    Unresolved,
    binary,
    compare,
    formatted,
    items,
    limited,
    plain,
    safely,
    unary,
)

#: The maximum number of expressions and statements, and of levels of nesting.
MAX_STEPS: Final = 200_000
MAX_DEPTH: Final = 60
#: Names that need no import.
_IMPLIED: Final = frozenset({CLASS, "job_registry"})
#: The name in a scope that shows that further names are not known.
ALL: Final = "*"
#: Expressions that are computed like another kind.
_SAME: Final[Mapping[type[ast.expr], type[ast.expr]]] = {
    ast.GeneratorExp: ast.ListComp,
    ast.Set: ast.List,
    ast.SetComp: ast.ListComp,
    ast.Tuple: ast.List,
}
#: A value of many characters or items counts as several steps.
_ITEMS_PER_STEP: Final = 100
_TIME_PARTS: Final = frozenset({"seconds", "days"})

#: Variables by name; those of a function are before those of its module.
Scope = MutableMapping[str, Any]


@dataclass(slots=True)
class Evaluator:
    """Evaluates expressions in scopes; `python_modules` adds statements."""

    #: Applies a function of the file to its arguments.
    call_function: Callable[[Function, list[Any], dict[str, Any]], Any]
    #: Is called with each method call on an unknown object: the object, the method,
    #: and the arguments. Returns True if that is all that the call does.
    on_call: Callable[[Opaque, str, list[Any]], bool]
    file: str = ""
    steps: int = 0
    depth: int = 0
    #: The jobs that were made, without those that others are made from.
    records: list[Record] = field(default_factory=list)
    #: Calls of the class that were evaluated, or that are known not to be.
    visited: set[int] = field(default_factory=set)

    @property
    def is_exhausted(self) -> bool:
        """True if there were too many steps."""
        return self.steps > MAX_STEPS

    def step(self, node: ast.AST, count: int = 1) -> None:
        """Count steps; raise Unresolved if there are too many."""
        self.steps += count
        if self.is_exhausted:
            raise Unresolved("the file takes too many steps", _line(node))

    def value(self, node: ast.expr, scope: Scope) -> Any:
        """Return the value of *node*, which may be Opaque; raise Unresolved without one."""
        self.step(node)
        self.depth += 1
        try:
            value = limited(self._computed(node, scope))
        except Unresolved as error:
            error.line = error.line or _line(node)
            raise
        finally:
            self.depth -= 1
        if isinstance(value, str | list | tuple | dict):
            self.step(node, len(value) // _ITEMS_PER_STEP)
        return value

    def _computed(self, node: ast.expr, scope: Scope) -> Any:
        if self.depth > MAX_DEPTH:
            raise Unresolved(f"is nested more than {MAX_DEPTH} levels deep")
        name = _SAME.get(type(node), type(node))
        method = getattr(self, f"expr_{name.__name__.lower()}", None)
        if method is None:
            raise Unresolved(
                f"an expression that is not computed here ({kind_of(node)})"
            )
        return method(node, scope)

    def expr_constant(self, node: ast.Constant, _scope: Scope) -> Any:
        if not isinstance(node.value, PLAIN):
            raise Unresolved(f"a constant of type {type(node.value).__name__}")
        return node.value

    def expr_name(self, node: ast.Name, scope: Scope) -> Any:
        if node.id in scope:
            return scope[node.id]
        if node.id in BUILTINS:
            return BUILTINS[node.id]
        if node.id in _IMPLIED or ALL in scope:
            return Opaque(f"{node.id} is not in the given files", node.id, node.lineno)
        raise Unresolved(f"{node.id} is not defined in the given files")

    def expr_list(self, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Any:
        result: list[Any] = []
        for one in node.elts:
            if isinstance(one, ast.Starred):
                result += items(self.value(one.value, scope))
            else:
                result.append(self.value(one, scope))
            limited(result)
        if isinstance(node, ast.Set):
            return tuple(dict.fromkeys(plain(one) for one in result))
        return tuple(result) if isinstance(node, ast.Tuple) else result

    def expr_dict(self, node: ast.Dict, scope: Scope) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key, one in zip(node.keys, node.values, strict=True):
            value = self.value(one, scope)
            if key is not None:
                result[plain(self.value(key, scope), "key")] = value
            elif isinstance(value, dict):
                result.update(value)
            else:
                raise unsuitable(value, "a dict")
        return result

    def expr_joinedstr(self, node: ast.JoinedStr, scope: Scope) -> str:
        text = ""
        for part in node.values:
            text = limited(text + str(self.value(part, scope)))
        return text

    def expr_formattedvalue(self, node: ast.FormattedValue, scope: Scope) -> str:
        spec = "" if node.format_spec is None else self.value(node.format_spec, scope)
        return formatted(self.value(node.value, scope), node.conversion, spec)

    def expr_binop(self, node: ast.BinOp, scope: Scope) -> Any:
        one, two = self.value(node.left, scope), self.value(node.right, scope)
        return binary(type(node.op), one, two)

    def expr_unaryop(self, node: ast.UnaryOp, scope: Scope) -> Any:
        return unary(type(node.op), self.value(node.operand, scope))

    def expr_boolop(self, node: ast.BoolOp, scope: Scope) -> Any:
        for one in node.values:
            value = self.value(one, scope)
            if self.truth(value) == isinstance(node.op, ast.Or):
                break
        return value

    def expr_compare(self, node: ast.Compare, scope: Scope) -> bool:
        first = self.value(node.left, scope)
        for op, right in zip(node.ops, node.comparators, strict=True):
            other = self.value(right, scope)
            if not compare(type(op), first, other):
                return False
            first = other
        return True

    def expr_ifexp(self, node: ast.IfExp, scope: Scope) -> Any:
        branches = (node.body, node.orelse)
        branch, other = (
            branches if self.truth(self.value(node.test, scope)) else branches[::-1]
        )
        self.ignore(other)
        return self.value(branch, scope)

    def expr_subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        if not isinstance(value, list | tuple | dict | str):
            raise unsuitable(value, "a list or a dict")
        if isinstance(node.slice, ast.Slice):
            if isinstance(value, dict):
                raise Unresolved("a slice of a dict")
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            limits = [None if one is None else self.value(one, scope) for one in parts]
            return safely(lambda: value[slice(*map(plain, limits))])
        key = plain(self.value(node.slice, scope))
        if isinstance(value, dict) and key not in value:
            raise Unresolved(f"there is no key {key!r}")
        return safely(lambda: value[key])

    def expr_attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        if isinstance(value, Opaque):
            name = f"{value.name}.{node.attr}" if value.name else ""
            return Opaque(value.reason, name, value.line)
        members: Mapping[str, Any] = {}
        if isinstance(value, Namespace | Record):
            members = value.values
        if node.attr in members:
            return members[node.attr]
        if isinstance(value, PLAIN) and node.attr == "value":
            return value  # of a member of an Enum
        if isinstance(value, timedelta) and node.attr in _TIME_PARTS:
            return getattr(value, node.attr)
        raise Unresolved(f"there is no constant {node.attr}")

    def expr_namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Any:
        scope[node.target.id] = value = self.value(node.value, scope)
        return value

    def expr_listcomp(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, scope: Scope
    ) -> Any:
        result = []
        for inner in self._scopes(node.generators, ChainMap({}, scope)):
            result.append(self.value(node.elt, inner))
            limited(result)
        if isinstance(node, ast.SetComp):
            return tuple(dict.fromkeys(plain(one) for one in result))
        return result

    def expr_dictcomp(self, node: ast.DictComp, scope: Scope) -> dict[Any, Any]:
        result = {}
        for inner in self._scopes(node.generators, ChainMap({}, scope)):
            key = plain(self.value(node.key, inner), "key")
            result[key] = self.value(node.value, inner)
            limited(result)
        return result

    def _scopes(
        self, generators: list[ast.comprehension], scope: Scope
    ) -> Iterator[Scope]:
        first, *rest = generators
        for one in items(self.value(first.iter, scope)):
            self.assign(first.target, one, scope)
            if all(self.truth(self.value(test, scope)) for test in first.ifs):
                if rest:
                    yield from self._scopes(rest, scope)
                else:
                    yield scope

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Assign *value* to *target* in *scope*."""
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            values = items(value)
            if len(values) != len(target.elts) or any(
                isinstance(one, ast.Starred) for one in target.elts
            ):
                raise Unresolved("an assignment to several names that does not match")
            for inner, one in zip(target.elts, values, strict=True):
                self.assign(inner, one, scope)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, scope)
            if not isinstance(owner, Record | Namespace):
                raise unsuitable(owner, "an object of the file")
            owner.values[target.attr] = value
        elif isinstance(target, ast.Subscript):
            owner = self.value(target.value, scope)
            if not isinstance(owner, dict | list):
                raise unsuitable(owner, "a list or a dict")
            key = plain(self.value(target.slice, scope), "key")
            safely(owner.__setitem__, key, value)
        else:
            raise Unresolved("an assignment that is not computed here")

    def truth(self, value: Any) -> bool:
        """Return True if *value* is true."""
        if isinstance(value, list | tuple | dict):
            return bool(value)
        return bool(plain(value, "condition"))

    def ignore(self, node: ast.AST) -> None:
        """Note that *node* is known not to be evaluated."""
        self.visited.update(map(id, ast.walk(node)))

    def expr_call(self, node: ast.Call, scope: Scope) -> Any:
        owner: Any = None
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value, scope)
            method = METHODS.get(type(owner), {}).get(node.func.attr)
            if method is not None:
                values, named = self.arguments(node, scope)
                return limited(safely(method, owner, *values, **named))
            function = self.expr_attribute(node.func, scope)
        else:
            function = self.value(node.func, scope)
        if is_class(function):
            return self._record(node, scope)
        if isinstance(function, Opaque) and function.name == "dataclasses.replace":
            return self._replaced(node, scope)
        if isinstance(function, Function):
            values, named = self.arguments(node, scope, self._maybe)
            return self.call_function(function, values, named)
        values, named = self.arguments(node, scope)
        if isinstance(function, Builtin):
            return limited(safely(function.apply, *values, **named))
        if isinstance(node.func, ast.Attribute) and isinstance(owner, Opaque):
            arguments = [*values, *named.values()]
            if self.on_call(owner, node.func.attr, arguments):
                return None
        name = getattr(node.func, "id", "") or getattr(function, "name", "")
        raise Unresolved(f"calls {name or 'a function'}, which is not executed")

    def arguments(
        self,
        node: ast.Call,
        scope: Scope,
        value_of: Callable[[ast.expr, Scope], Any] | None = None,
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and the named arguments of a call."""
        evaluate = value_of or self.value
        values: list[Any] = []
        for one in node.args:
            if isinstance(one, ast.Starred):
                values += items(self.value(one.value, scope))
            else:
                values.append(evaluate(one, scope))
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = evaluate(keyword.value, scope)
            if keyword.arg is not None:
                named[keyword.arg] = value
            elif isinstance(value, dict):
                named |= {str(plain(key)): one for key, one in value.items()}
            else:
                raise unsuitable(value, "a dict")
        return values, named

    def _record(self, node: ast.Call, scope: Scope) -> Record:
        """Return the job that a call of the class makes, also if parts are unknown."""
        self.visited.add(id(node))
        record = Record(self.file, node.lineno, {})
        self._fill(record, node, scope, PARAMETERS)
        self.records.append(record)
        return record

    def _replaced(self, node: ast.Call, scope: Scope) -> Record:
        base = self.value(node.args[0], scope) if node.args else None
        if not isinstance(base, Record):
            raise Unresolved("calls replace on something other than a job")
        record = Record(self.file, node.lineno, dict(base.values), base.rest)
        self._fill(record, node, scope, ())
        self.records = [one for one in self.records if one is not base] + [record]
        return record

    def _fill(
        self, record: Record, node: ast.Call, scope: Scope, names: tuple[str, ...]
    ) -> None:
        for name, one in zip(names, node.args, strict=False):
            if isinstance(one, ast.Starred):
                record.rest = "its arguments are from a list"
                break
            record.values[name] = self._maybe(one, scope)
        for keyword in node.keywords:
            value = self._maybe(keyword.value, scope)
            if keyword.arg is not None:
                record.values[keyword.arg] = value
            elif isinstance(value, dict):
                record.values |= {str(key): one for key, one in value.items()}
            else:
                record.rest = (
                    value.reason if isinstance(value, Opaque) else "is no dict"
                )

    def _maybe(self, node: ast.expr, scope: Scope) -> Any:
        """Return the value of *node*, Opaque if it has none."""
        try:
            return self.value(node, scope)
        except Unresolved as error:
            return Opaque(error.reason, line=error.line)

    def expr_lambda(self, node: ast.Lambda, scope: Scope) -> Function:
        return Function(function_of(node), scope, self.file)


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))
