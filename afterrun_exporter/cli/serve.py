"""`afterrun serve`: the daemon, and the place where its parts are connected."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

import click
import structlog
import uvloop

from afterrun_exporter import __version__
from afterrun_exporter import config as configs
from afterrun_exporter.alertmanager.client import alertmanager_client
from afterrun_exporter.alertmanager.managed_file import reload_alertmanager
from afterrun_exporter.alertmanager.notifier import AlertNotifier
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api.routes import routes
from afterrun_exporter.app import make_app, site_of
from afterrun_exporter.auth.tokens import callers
from afterrun_exporter.cli import logs, progress
from afterrun_exporter.cli.auto_reload import (
    AutoReloadFlags,
    auto_reload_options,
    auto_reloads,
)
from afterrun_exporter.cli.banner import ListenConfig, greet
from afterrun_exporter.cli.configuration import Configuration, Reloader
from afterrun_exporter.cli.database import open_database, take_over
from afterrun_exporter.cli.flags import check_all, check_open_files, own_names, trusted
from afterrun_exporter.cli.git_flags import FollowedRepository, GitFlags, git_options
from afterrun_exporter.cli.git_origin import newest, origin_of, polls
from afterrun_exporter.cli.managed_config import kept_file, load_with_base, secrets_of
from afterrun_exporter.cli.memory import (
    freeze_many,
    limit_arenas,
    trimming,
    tune_garbage_collection,
)
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.cli.signals import Signals
from afterrun_exporter.cli.storage_flags import StorageFlags, storage_options
from afterrun_exporter.cli.version import build_labels
from afterrun_exporter.cli.web_config import WebFile, owners, warn_if_open
from afterrun_exporter.cli.web_config import read as read_web_config
from afterrun_exporter.cli.web_flags import WebFlags, web_options
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.leader_work import leader_works
from afterrun_exporter.engine.periodic import running
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.runtime import Runtime
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import AfterRunError, ConfigError, StoppingError
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.job_index import Index
from afterrun_exporter.page.routes import routes as page_routes
from afterrun_exporter.server.connection_limits import Limits
from afterrun_exporter.server.health import READINESS
from afterrun_exporter.server.listen import listening
from afterrun_exporter.server.passed_sockets import passed_sockets
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.storage.location import Location
from afterrun_exporter.storage.store import Store

log = structlog.get_logger()


_option = partial(click.option, show_default=True)


@click.command()
@click.option(
    "--config.file",
    "config_file",
    type=PathType(),
    help="Path of afterrun.yml, or of a directory of *.yml files; without it, every job "
    "registers with its first ping.",
)
@click.option(
    "--config.check/--no-config.check",
    "config_check",
    default=False,
    help="Check the file and exit.",
)
@auto_reload_options
@git_options
@storage_options
@web_options
@_option(
    "--log.level",
    "log_level",
    type=click.Choice(logs.LEVELS, case_sensitive=False),
    default="info",
    help="Lowest level of messages in the log.",
)
@_option(
    "--log.format",
    "log_format",
    type=click.Choice(logs.FORMATS, case_sensitive=False),
    default="logfmt",
    help="Format of the log.",
)
def serve(
    config_file: Path | None,
    config_check: bool,
    auto_reload_flags: AutoReloadFlags,
    git_flags: GitFlags,
    storage: StorageFlags,
    web_flags: WebFlags,
    log_level: str,
    log_format: str,
) -> None:
    """Receive pings, evaluate runs, expose metrics."""
    logs.configure(log_level, log_format)
    try:
        has_configuration = config_file is not None or git_flags.url is not None
        check_all(
            web_flags.check,
            storage.location,
            partial(git_flags.repository, config_file),
            partial(auto_reload_flags.check, has_configuration=has_configuration),
        )
        location, repository = storage.location(), git_flags.repository(config_file)
        binds = web_flags.binds()
        storage.log_precedence()
        if config_check:
            _check(config_file, repository, web_flags.config_file)
            return
        if web_flags.systemd_socket:
            binds = passed_sockets(os.environ, os.getpid())
        check_open_files()
        limit_arenas()
        hosts = own_names(web_flags.external_url, binds)
        security = SecuritySettings(proxies=trusted(web_flags.proxies), hosts=hosts)
        listen_config = ListenConfig(
            binds,
            security,
            WebFile(web_flags.config_file, security),
            Limits(connections=web_flags.max_connections),
            web_flags.shutdown_timeout,
            web_flags.shutdown_delay,
            web_flags.fast_path,
        )
        _run(
            _serve(
                config_file,
                auto_reload_flags,
                repository,
                location,
                listen_config,
                web_flags,
            )
        )
    except ConfigError as error:
        for line in str(error).splitlines():
            click.echo(line, err=True)
        sys.exit(1)
    except (AfterRunError, ValueError) as error:
        for line in str(error).splitlines():
            click.echo(f"afterrun: {line}", err=True)
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "new thread" not in str(error):
            raise
        click.echo(f"afterrun: out of memory: {error}".rstrip(": "), err=True)
        sys.exit(1)


def _check(
    config_file: Path | None,
    repository: FollowedRepository | None,
    web_config_file: Path | None,
) -> None:
    """Raise AfterRunError if a configuration has problems; print warnings."""
    if repository is not None:
        load_with_base(asyncio.run(newest(repository)))
    if config_file is not None:
        with progress.bar(f"reading {config_file}"):
            load_with_base(configs.read(config_file))
    if web_config_file is not None:
        for warning in read_web_config(web_config_file).warnings(web_config_file):
            click.echo(warning, err=True)


def _run(serving: Coroutine[None, None, None]) -> None:
    try:
        uvloop.run(serving)
    except StoppingError:
        # A start that a signal ends is no failure.
        log.info("stopped")


async def _serve(
    config_file: Path | None,
    auto_reload: AutoReloadFlags,
    repository: FollowedRepository | None,
    storage: Location,
    listen_config: ListenConfig,
    web_flags: WebFlags,
) -> None:
    signals = Signals(listen_config.delay + listen_config.patience)
    clock = SystemClock()
    own = SelfMetrics(__version__, web_flags.exporter_metrics, **build_labels())
    origin = origin_of(config_file, repository, storage, clock, own)
    configuration = Configuration(origin, clock, own)
    config = await signals.unless_stopped(configuration.start())
    options = web_flags.options(config.external_url)
    security, web_file = listen_config.security, listen_config.web_file
    web_file.apply(await web_file.read())
    async with (
        open_database(
            storage,
            own.committed,
            listen_config,
            options.route_prefix,
            signals,
            clock,
        ) as (store, early),
        alertmanager_client() as post,
    ):
        service = Service(store, clock, config.job_config)
        notifier = AlertNotifier(
            service, store.outbox, clock, post, _jitter, options.external_url
        )
        pushed = PushedMetrics(store, service, clock)
        job_admin = JobAdmin(service, clock)
        receivers = Receivers(
            store, reload_alertmanager, job_admin.announce_successes, clock=clock
        )
        _watch(own, service, store, notifier, receivers)

        notices, _, managed_file = works = leader_works(
            service, notifier.refresh, pushed.refresh, receivers.refresh
        )
        service.receivers_changed = managed_file.request

        async def authenticate(config: configs.Config) -> None:
            security.hosts.accept(config.external_url)
            security.authenticator.trust_tokens(callers(config.tokens))
            security.authenticator.trust_projects(owners(service))

        async def notify(config: configs.Config) -> None:
            notifier.configure(config.alertmanager, config.external_url)
            await notices.now()

        async def manage_file(config: configs.Config) -> None:
            receivers.recipients.configure(config.alertmanager)
            receivers.manage(
                kept_file(config, origin.beside), secrets_of(config, origin.beside)
            )
            await receivers.announce_successes()

        # Tokens first: a token that was removed is refused at once.
        runtime = Runtime[configs.Config](
            service,
            [
                authenticate,
                notify,
                lambda _: pushed.refresh(),
                manage_file,
                freeze_many,
            ],
        )
        # The start may already open alerts.
        notifier.configure(config.alertmanager, config.external_url)
        await runtime.start(config)

        async def reloaded() -> None:
            warn_if_open(security, listen_config.binds)
            await managed_file.now()

        reload = Reloader(
            configuration, runtime, web_file, reloaded, signals.unless_stopped
        )
        index, site = Index(service), site_of(options, clock, service)
        pages = Context(
            service=service,
            store=store,
            receivers=receivers,
            job_admin=job_admin,
            clock=clock,
            site=site,
            index=index,
        )
        api = [*routes(service, store, receivers, clock), *page_routes(pages)]
        page = Exposition(service, own)
        app = make_app(
            service,
            clock,
            page,
            pushed,
            reload,
            options,
            api,
            security,
            site,
            signals.stop,
        )
        listener = listening(
            app,
            listen_config.binds,
            clock,
            listen_config.limits,
            fast=listen_config.fast_path,
            patience=listen_config.patience,
            stop_now=signals.stop_now,
        )
        async with (
            notifier.running(),
            take_over(early, listener),
            running(
                web_file.task().run(clock),
                index.task().run(clock),
                trimming().run(clock),
                receivers.secrets.task().run(clock),
                # An Alertmanager that hangs must not delay the start.
                managed_file.now(),
                *(work.task().run(clock) for work in works),
                *polls(origin, reload, clock, _jitter),
                *auto_reloads(auto_reload, config_file, configuration, reload, clock),
            ),
        ):
            tune_garbage_collection()
            greet(listen_config, options, config, origin.name, storage)
            await signals.until_stopped(reload)
            log.info("stopping")
            await signals.linger(app[READINESS], listen_config.delay)
        await receivers.finish()
    log.info("stopped")


def _watch(
    own: SelfMetrics,
    service: Service,
    store: Store,
    notifier: AlertNotifier,
    receivers: Receivers,
) -> None:
    """Expose the figures of the parts of the daemon in *own*."""
    own.watch_pushes(notifier.counts)
    # The last result of a former leader means nothing.
    own.watch_alertmanager_file(
        lambda: receivers.file_ok if service.leads else None,
        lambda: receivers.secrets.missing,
    )
    if store.replicas.is_shared:
        own.watch_replica(store.replicas)


def _jitter(longest: float) -> float:
    return random.uniform(0, longest)  # noqa: S311 - not for cryptography
