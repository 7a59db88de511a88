"""Forms on the pages: pause, resume and remove jobs, add and remove receivers.

Each is a POST. The response is a redirect to a page, or the page with an error message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth import endpoints
from afterrun_exporter.errors import (
    AfterRunError,
    RequestError,
    UnknownJobError,
    UnknownReceiverError,
)
from afterrun_exporter.http_problems import STATUS, problem_of
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.forms import FLAGS, pause_of, read_form, receiver_of
from afterrun_exporter.page.job_page import Refused, job_page

#: Performs the action of a form; returns the key of its message in `messages.DONE`.
Act = Callable[[Context, web.Request, dict[str, str]], Awaitable[str]]


def action(
    context: Context, act: Act, name: str, *fields: str, to: str = ""
) -> Handler:
    """Return the handler of the form *name* with these optional *fields*.

    It redirects to the page of the job, or to *to*.
    """
    field_names = frozenset(fields)

    async def handle(request: web.Request) -> web.Response:
        form: dict[str, str] = {}
        try:
            form = await read_form(request, context.site.guard, field_names)
            message_key = await act(context, request, form)
        except UnknownJobError:
            # The job may have been removed since the page was rendered.
            return await job_page(context, request)
        except AfterRunError as error:
            code = STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
            refused = Refused(
                error=problem_of(error)["detail"],
                code=code,
                form=name,
                typed=form,
            )
            return await job_page(context, request, refused)
        # Relative to the request path, because a proxy may change the prefix.
        depth = "../" * (request.rel_url.raw_path.count("/") - 2)
        where = to or f"{depth}{request.match_info['job']}"
        raise web.HTTPSeeOther(f"{where}?done={message_key}")

    return handle


async def pause(context: Context, request: web.Request, form: dict[str, str]) -> str:
    """Pause monitoring of the job."""
    name, lasts = request.match_info["job"], pause_of(form)
    await context.job_admin.pause(name, lasts=lasts)
    return "paused"


async def resume(context: Context, request: web.Request, _: dict[str, str]) -> str:
    """Resume monitoring of the job."""
    await context.job_admin.resume(request.match_info["job"])
    return "resumed"


async def retire(context: Context, request: web.Request, _: dict[str, str]) -> str:
    """Remove the job until it pings again."""
    await context.job_admin.retire(request.match_info["job"])
    return "retired"


async def add_receiver(
    context: Context, request: web.Request, form: dict[str, str]
) -> str:
    """Add a receiver to the job."""
    name = request.match_info["job"]
    if context.service.job_and_state(name) is None:
        raise UnknownJobError(context.service.job_config.unknown_job(name))
    receiver = receiver_of(name, form, context.clock.now())
    _, applied = await context.receivers.add(receiver)
    return f"receiver-{applied.value}"


async def remove_receiver(
    context: Context, request: web.Request, _: dict[str, str]
) -> str:
    """Remove a receiver of the job."""
    number = request.match_info["id"]
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise UnknownReceiverError(f"no receiver has the id {number[:60]!r}")
    receiver = await context.receivers.get(int(number))
    if receiver.job != request.match_info["job"]:
        raise RequestError(f"receiver {receiver.id} belongs to another job")
    await context.receivers.remove(receiver.id)
    return "receiver-removed"


RECEIVER_FIELDS: Final = ("alert_type", "target", *FLAGS)


def routes(context: Context) -> list[web.RouteDef]:
    """Return the routes of the forms."""
    add = action(context, add_receiver, "receiver", *RECEIVER_FIELDS)
    remove = action(context, remove_receiver, "receivers")
    return [
        *endpoints.PAUSE_FORM.to(action(context, pause, "pause", "for")),
        *endpoints.RESUME_FORM.to(action(context, resume, "resume")),
        *endpoints.RETIRE_FORM.to(action(context, retire, "retire", to="../../")),
        *endpoints.RECEIVER_FORM.to(add),
        *endpoints.REMOVE_RECEIVER_FORM.to(remove),
    ]
