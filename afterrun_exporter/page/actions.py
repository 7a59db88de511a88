"""What people do on a page: pause, resume, remove, and say who is to be told.

Each is a POST that answers with a redirect back to a page, or with the page itself
and what was wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.errors import (
    AfterRunError,
    RequestError,
    UnknownJobError,
    UnknownReceiverError,
)
from afterrun_exporter.http_problems import STATUS, problem_of
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.forms import FLAGS, pause_of, read_form, receiver_of
from afterrun_exporter.page.handlers import Refused, job_page

#: Does what a form says for a job; returns the word for that in `messages.DONE`.
Act = Callable[[Context, web.Request, dict[str, str]], Awaitable[str]]


def action(
    context: Context, act: Act, name: str, *fields: str, to: str = ""
) -> Handler:
    """Return the handler of the form *name*, which may have *fields*.

    It leads back to the job, or where *to* says.
    """
    known = frozenset(fields)

    async def handle(request: web.Request) -> web.Response:
        form: dict[str, str] = {}
        try:
            form = await read_form(request, context.site.guard, known)
            done = await act(context, request, form)
        except UnknownJobError:
            # Also for a job that has gone since the page was made.
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
        # Relative to where the form was sent, whatever a proxy calls that.
        depth = "../" * (request.rel_url.raw_path.count("/") - 2)
        where = to or f"{depth}{request.match_info['job']}"
        raise web.HTTPSeeOther(f"{where}?done={done}")

    return handle


async def pause(context: Context, request: web.Request, form: dict[str, str]) -> str:
    """Expect nothing of the job for a while."""
    until = pause_of(form, context.clock.now())
    await context.job_admin.pause(request.match_info["job"], until)
    return "paused"


async def resume(context: Context, request: web.Request, _: dict[str, str]) -> str:
    """Watch the job again."""
    await context.job_admin.resume(request.match_info["job"])
    return "resumed"


async def retire(context: Context, request: web.Request, _: dict[str, str]) -> str:
    """Forget the job until it pings again."""
    await context.job_admin.retire(request.match_info["job"])
    return "retired"


async def add_receiver(
    context: Context, request: web.Request, form: dict[str, str]
) -> str:
    """Have somebody told of the job."""
    name = request.match_info["job"]
    if context.service.known(name) is None:
        raise UnknownJobError(context.service.job_config.unknown_job(name))
    receiver = receiver_of(name, form, context.clock.now())
    _, applied = await context.receivers.add(receiver)
    return f"receiver-{applied.value}"


async def remove_receiver(
    context: Context, request: web.Request, _: dict[str, str]
) -> str:
    """Have somebody told no more."""
    number = request.match_info["id"]
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise UnknownReceiverError(f"no receiver has the id {number[:60]!r}")
    found = await context.receivers.get(int(number))
    if found.job != request.match_info["job"]:
        raise RequestError(f"receiver {found.id} belongs to another job")
    await context.receivers.remove(found.id)
    return "receiver-removed"


RECEIVER_FIELDS: Final = ("alert_type", "target", *FLAGS)


def routes(context: Context) -> list[web.RouteDef]:
    """Return where the forms of a job are sent."""
    at = "/jobs/{job}"
    return [
        web.post(f"{at}/pause", action(context, pause, "pause", "for")),
        web.post(f"{at}/resume", action(context, resume, "resume")),
        web.post(f"{at}/retire", action(context, retire, "retire", to="../../")),
        web.post(
            f"{at}/receivers",
            action(context, add_receiver, "receiver", *RECEIVER_FIELDS),
        ),
        web.post(
            f"{at}/receivers/{{id}}/delete",
            action(context, remove_receiver, "receivers"),
        ),
    ]
