"""The reasons of responses with status 403."""

from __future__ import annotations

from typing import Final

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.errors import ForbiddenError

CROSS_SITE: Final = "cross-site request from a browser refused"
UNKNOWN_HOST: Final = (
    "unknown host name {host!r}: this daemon has no authentication, so use "
    "localhost, start it with --web.external-url=http://NAME, or set auth in "
    "afterrun.yml"
)
FOREIGN: Final = (
    "this form comes from another site: open this page directly and send it again"
)
OTHER_PROJECT: Final = "{job} is in another project"
OLD: Final = "this form has expired: reload the page and send it again"


def lacks_scope(caller: Caller, scope: Scope) -> ForbiddenError:
    """Return the error for a request outside of the scopes of its token."""
    return ForbiddenError(f'{caller.label} lacks scope "{scope}"')


def cannot_report(caller: Caller, job: str) -> ForbiddenError:
    """Return the error for a report about a job that is not of its token."""
    return ForbiddenError(f'{caller.label} cannot report runs of job "{job}"')


def cannot_report_task(caller: Caller, task: str) -> ForbiddenError:
    """Return the error for a task of a job that is not of its token, without its name."""
    return ForbiddenError(f"{caller.label} cannot report task {task[:64]!r}")
