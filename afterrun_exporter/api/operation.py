"""What there is to say of one thing that can be asked for or done over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pydantic import BaseModel

from afterrun_exporter.api import request_models, response_models
from afterrun_exporter.auth import scopes
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.errors import AfterRunError, RequestError

PREFIX: Final = "/api/v1"

JSON: Final = "application/json"
SVG: Final = "image/svg+xml"
HTML: Final = "text/html"

Q = TypeVar("Q", bound=request_models.Query)
B = TypeVar("B", bound=BaseModel)
A = TypeVar("A", bound=response_models.Answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[Q, B, A]):
    """One thing that can be asked for or done."""

    #: What programs that are generated from the document call it.
    name: str
    method: str
    #: With parameters in braces, as aiohttp and OpenAPI both write them.
    path: str
    #: One line that says what it does.
    summary: str
    query: type[Q]
    body: type[B]
    answer: type[A]
    status: int = 200
    #: What can be wrong, besides a request that cannot be understood.
    problems: tuple[type[AfterRunError], ...] = ()
    #: The type of what is answered; what is no JSON is text.
    media: str = JSON
    #: The field that the body is, and its types, unless it is JSON.
    text: tuple[str, tuple[str, ...]] | None = None
    #: How many bytes a body may have.
    most: int = 2**20
    #: The parameter by which the next page is asked for.
    paged_by: str = ""
    #: Where to find what was made, filled in with the answer.
    location: str = ""
    #: A parameter of other paths, and where in the answer a value for it is.
    leads_to: tuple[str, str] = ("", "")

    @property
    def scope(self) -> Scope:
        """What one must be allowed to do: what the guard asks for."""
        return scopes.wanted(self.method, self.path) or Scope.READ

    @property
    def subject(self) -> str:
        """What it is about: the part of the path that says so."""
        part = self.path.removeprefix(PREFIX).split("/")[1]
        return {"": "docs", "openapi.json": "docs"}.get(part, part)

    @property
    def is_ours(self) -> bool:
        """Whether it is for those who ask, and not for the jobs."""
        return self.scope is not Scope.PING

    @property
    def takes_body(self) -> bool:
        """Whether a body is read."""
        return self.method == "POST"

    @property
    def is_drawn(self) -> bool:
        """Whether the answer is a picture, whatever it has to say."""
        return self.media == SVG

    @property
    def is_tagged(self) -> bool:
        """Whether who has the answer already is told that it has not changed."""
        return self.method == "GET" and self.is_ours

    @property
    def wrong(self) -> tuple[type[AfterRunError], ...]:
        """What can be wrong, a request that cannot be understood included."""
        common = (RequestError,) if self.is_ours else ()
        return (*common, *self.problems)
