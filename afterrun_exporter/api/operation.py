"""The description of one operation of the HTTP API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic

from pydantic import BaseModel
from typing_extensions import TypeVar

from afterrun_exporter.api import request_models, response_models
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.endpoints import Endpoint
from afterrun_exporter.errors import AfterRunError, OutdatedError, RequestError

PREFIX: Final = "/api/v1"

JSON: Final = "application/json"
SVG: Final = "image/svg+xml"
HTML: Final = "text/html"

Q = TypeVar("Q", bound=request_models.Query, default=request_models.NoQuery)
B = TypeVar("B", bound=BaseModel, default=request_models.NoBody)
A = TypeVar("A", bound=response_models.Answer, default=response_models.Nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[Q, B, A]):
    """One operation of the HTTP API."""

    #: The operationId, which generated clients use as a function name.
    name: str
    endpoint: Endpoint
    #: A description in one line.
    summary: str
    query: type[Q] = request_models.NoQuery  # type: ignore[assignment]
    body: type[B] = request_models.NoBody  # type: ignore[assignment]
    answer: type[A] = response_models.Nothing  # type: ignore[assignment]
    status: int = 200
    #: Errors that it raises, other than RequestError.
    problems: tuple[type[AfterRunError], ...] = ()
    #: The media type of the response; anything but JSON is text.
    media: str = JSON
    #: The field that a text body fills, and the media types of such a body.
    text: tuple[str, tuple[str, ...]] | None = None
    #: The maximum length of the body in bytes.
    most: int = 2**20
    #: The parameter that selects the next page.
    paged_by: str = ""
    #: The URL of the created object, a template for fields of the response.
    location: str = ""
    #: A path parameter of other operations, and a JSON pointer to its value here.
    leads_to: tuple[str, str] = ("", "")

    @property
    def method(self) -> str:
        return self.endpoint.methods

    @property
    def path(self) -> str:
        """The path with parameters in braces."""
        return self.endpoint.paths[0]

    @property
    def scope(self) -> Scope:
        """The scope that a caller needs."""
        return self.endpoint.scope or Scope.READ

    @property
    def subject(self) -> str:
        """The tag of the operation: the first part of its path."""
        part = self.path.removeprefix(PREFIX).split("/")[1]
        return {"": "docs", "openapi.json": "docs"}.get(part, part)

    @property
    def is_management(self) -> bool:
        """True for operations of the API, False for reports of jobs."""
        return self.scope is not Scope.PING

    @property
    def takes_body(self) -> bool:
        """True if the operation reads a body."""
        return self.method == "POST"

    @property
    def is_tagged(self) -> bool:
        """True if responses have an ETag."""
        return self.method == "GET" and self.is_management

    @property
    def errors(self) -> tuple[type[AfterRunError], ...]:
        """All errors that it raises."""
        common = (RequestError,) if self.is_management else ()
        outdated = () if self.endpoint.is_stateless else (OutdatedError,)
        return (*common, *self.problems, *outdated)
