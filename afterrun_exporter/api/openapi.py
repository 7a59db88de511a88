"""The OpenAPI 3.1 document of the API, generated from its pydantic models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from afterrun_exporter.api import parameter_types, response_models
from afterrun_exporter.api.operation import JSON, SVG, Operation
from afterrun_exporter.api.operations import OPERATIONS
from afterrun_exporter.api.report_operations import PINGS, RejectedReport
from afterrun_exporter.errors import AfterRunError
from afterrun_exporter.http_problems import CONTENT_TYPE, STATUS, TYPES

AnyOperation = Operation[Any, Any, Any]

EVERY: Final[tuple[AnyOperation, ...]] = (*PINGS, *OPERATIONS)

_ABOUT: Final = (
    "AfterRun exporter monitors scheduled jobs. Times are RFC 3339 in UTC, "
    "durations are seconds. Errors are application/problem+json (RFC 9457)."
)
_REF: Final = "#/components/schemas/{model}"
_IN_PATH: Final = {
    "job": TypeAdapter(parameter_types.JobName).json_schema(),
    "id": TypeAdapter(parameter_types.ReceiverId).json_schema(),
}
#: Responses of the authentication middleware, if credentials are configured.
_GUARDED: Final = {
    HTTPStatus.UNAUTHORIZED: "credentials are missing or invalid",
    HTTPStatus.FORBIDDEN: "the credentials lack the scope",
}
_TEXT: Final = {"type": "string"}
_TAG: Final = {"schema": _TEXT, "description": "for If-None-Match"}


def document(version: str) -> dict[str, Any]:
    """Return the document; *version* is that of the program."""
    schemas = _Schemas(EVERY)
    paths: dict[str, dict[str, Any]] = {}
    for operation in EVERY:
        at = paths.setdefault(operation.path, {})
        at[operation.method.lower()] = _described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AfterRun exporter",
            "version": version,
            "description": _ABOUT,
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def errors_by_status(
    operation: AnyOperation,
) -> dict[HTTPStatus, list[type[AfterRunError]]]:
    """Return the errors that *operation* can raise, by HTTP status."""
    by_status: dict[HTTPStatus, list[type[AfterRunError]]] = {}
    for error in operation.errors:
        by_status.setdefault(STATUS[error], []).append(error)
    return dict(sorted(by_status.items()))


class _Schemas:
    """The JSON Schemas of all models, with references between them."""

    def __init__(self, operations: tuple[AnyOperation, ...]) -> None:
        self._paths = {one.name: one.path for one in operations if one.is_management}
        models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
        for one in operations:
            models[one.query, "validation"] = None
            if one.takes_body:
                models[one.body, "validation"] = None
            models[one.answer, "serialization"] = None
        for problem in (response_models.Problem, RejectedReport):
            models[problem, "serialization"] = None
        self._refs, schemas = models_json_schema(list(models), ref_template=_REF)
        queries = {one.query.__name__ for one in operations}
        defined = schemas["$defs"]
        self._queries = {name: defined[name] for name in queries}
        unused = {*queries, response_models.Nothing.__name__}
        self.components = {
            name: _untitled(schema)
            for name, schema in sorted(defined.items())
            if name not in unused
        }

    def linked(self, operation: AnyOperation) -> list[str]:
        """Return the names of operations that take an id from this one's response."""
        parameter = f"{{{operation.leads_to[0]}}}"
        return [name for name, path in self._paths.items() if parameter in path]

    def of(self, model: type[BaseModel], mode: JsonSchemaMode) -> Mapping[str, Any]:
        """Return the reference to the schema of *model*."""
        return self._refs[model, mode]

    def parameters(self, query: type[BaseModel]) -> Iterator[dict[str, Any]]:
        """Yield the parameters of *query*."""
        for name, schema in self._queries[query.__name__].get("properties", {}).items():
            about = schema.get("description", "")
            plain = _untitled(_without_null(schema))
            plain.pop("description", None)
            parameter = {"name": name, "in": "query", "required": False}
            yield {**parameter, "description": about, "schema": plain}


def _described(operation: AnyOperation, schemas: _Schemas) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _IN_PATH[name]}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.subject],
        "security": [{}, {"token": [operation.scope.value]}],
        "parameters": [*parameters, *schemas.parameters(operation.query)],
    }
    if operation.takes_body:
        schema = schemas.of(operation.body, "validation")
        content = {JSON: {"schema": schema}}
        for media in operation.text[1] if operation.text else ():
            content[media] = {"schema": _TEXT if media.startswith("text/") else {}}
        described["requestBody"] = {"content": content}
        # A text body may be empty.
        if operation.text is None and _is_required(operation.body):
            described["requestBody"]["required"] = True
    return {**described, "responses": dict(sorted(_responses(operation, schemas)))}


def _responses(
    operation: AnyOperation, schemas: _Schemas
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield str(operation.status), _success(operation, schemas)
    if operation.is_tagged:
        about = "the response still matches If-None-Match"
        yield "304", {"description": about, "headers": {"ETag": _TAG}}
    problem = schemas.of(response_models.Problem, "serialization")
    for status, about in _GUARDED.items():
        yield str(status.value), _problem(about, problem)
    if operation.media == SVG:
        about = "unknown job; the picture shows it"
        content = {operation.media: {"schema": _TEXT}}
        yield "404", {"description": about, "content": content}
    if operation.takes_body:
        yield "413", _problem("too-large: the body is too large", problem)
    for status, errors in errors_by_status(operation).items():
        about = "; ".join(f"{error.kind}: {meaning(error)}" for error in errors)
        types = [TYPES + error.kind for error in errors]
        kind = {"properties": {"type": {"enum": types}}}
        yield str(status.value), _problem(about, {"allOf": [problem, kind]})


def _success(operation: AnyOperation, schemas: _Schemas) -> dict[str, Any]:
    """Return the response for success."""
    response: dict[str, Any] = {"description": operation.summary}
    if operation.media != JSON:
        response["content"] = {operation.media: {"schema": _TEXT}}
    elif operation.status != HTTPStatus.NO_CONTENT:
        schema = schemas.of(operation.answer, "serialization")
        response["content"] = {JSON: {"schema": schema}}
    headers: dict[str, Any] = {}
    if operation.is_tagged:
        headers["ETag"] = _TAG
    if operation.paged_by:
        about = 'the next page, as rel="next"; absent on the last one'
        headers["Link"] = {"schema": _TEXT, "description": about}
    if operation.location:
        where = {"type": "string", "format": "uri-reference"}
        headers["Location"] = {
            "schema": where,
            "description": "the URL of the new object",
        }
    links = {
        other: _lead(operation.leads_to, other) for other in schemas.linked(operation)
    }
    return {
        **response,
        **({"headers": headers} if headers else {}),
        **({"links": links} if links else {}),
    }


def _lead(leads_to: tuple[str, str], other: str) -> dict[str, Any]:
    parameter, pointer = leads_to
    where = f"$response.body#{pointer}"
    return {"operationId": other, "parameters": {parameter: where}}


def meaning(error: type[AfterRunError]) -> str:
    """Return the description of *error*: the first line of its docstring."""
    return (error.__doc__ or "").partition("\n")[0].rstrip(".")


def _problem(about: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {CONTENT_TYPE: {"schema": schema}}}


def _is_required(body: type[BaseModel]) -> bool:
    fields = body.model_fields.values()
    return any(field.is_required() for field in fields)


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return *schema* without null, because an unset parameter is absent."""
    plain = {key: value for key, value in schema.items() if key != "anyOf"}
    if plain.get("default", ()) in (None, []):
        del plain["default"]
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **plain}
    return {**plain, "anyOf": choices} if choices else plain


def _untitled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return *schema* without titles, which only repeat the names of fields."""
    plain = {key: value for key, value in schema.items() if key != "title"}
    if "properties" in plain:
        fields = plain["properties"].items()
        plain["properties"] = {name: _untitled(field) for name, field in fields}
    return plain
