"""The stored receivers and the file made of them change together or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.alertmanager.loaded_file import Applied
from afterrun_exporter.alertmanager.managed_file import ManagedFile
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import (
    AlertmanagerError,
    AlertmanagerRefusedError,
    GenerateError,
    ReceiverExistsError,
)
from afterrun_exporter.rulegen.render import HEADER
from afterrun_exporter.storage.store import AlertFilter
from tests.copies import replace
from tests.core.jobs import BACKUP, ping
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config

OLD = "what was configured before\n"
RELOAD = "http://localhost:9093/-/reload"


class Alertmanager:
    """Stands for the way to it: takes what it is told to take."""

    def __init__(self, file: Path) -> None:
        self.error: AlertmanagerError | None = None
        #: What the file said whenever it was to be read.
        self.read: list[str] = []
        self._file = file

    async def reload(self, url: str) -> None:
        assert url == RELOAD
        self.read.append(said(self._file))
        if self.error:
            raise self.error


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "alertmanager" / "alertmanager.yml"
    path.parent.mkdir()
    path.write_text(HEADER + OLD)
    return path


@pytest.fixture
def alertmanager(file: Path) -> Alertmanager:
    return Alertmanager(file)


@pytest.fixture
def receivers(store: MemoryStore, alertmanager: Alertmanager, file: Path) -> Receivers:
    kept = Receivers(store, alertmanager.reload)
    kept.manage(ManagedFile(file, RELOAD, listing))
    return kept


def listing(receivers: Sequence[JobReceiver]) -> Mapping[Path, str]:
    """Make a file that names the receivers, and one with each one's secret."""
    secrets = {Path(f"secrets/receiver-{one.id}"): one.target for one in receivers}
    names = "".join(f"{one.target}\n" for one in receivers)
    return {Path("alertmanager.yml"): HEADER + names, **secrets}


def refusing(_: Sequence[JobReceiver]) -> Mapping[Path, str]:
    raise GenerateError("receiver 'oncall' is in base.yml already")


def receiver(target: str = "https://a.example/", job: str = "backup") -> JobReceiver:
    return JobReceiver(job=job, type=ReceiverType.SLACK, target=target)


def said(file: Path) -> str:
    return file.read_text().removeprefix(HEADER)


def write(file: Path, text: str | None) -> None:
    file.unlink()
    if text is not None:
        file.write_text(text)


def remove(file: Path) -> None:
    file.unlink()


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def allow(file: Path, mode: int) -> None:
    file.chmod(mode)


async def targets(store: MemoryStore) -> list[str]:
    return [one.target for one in await store.receivers()]


async def test_a_receiver_is_stored_written_and_loaded(
    receivers: Receivers, alertmanager: Alertmanager, file: Path
) -> None:
    """Its secret is there before it is needed, and for nobody else to read."""
    added, applied = await receivers.add(receiver())

    secret = file.parent / "secrets" / f"receiver-{added.id}"
    assert applied is Applied.RELOADED
    assert alertmanager.read == ["https://a.example/\n"]
    assert said(secret) == "https://a.example/"
    assert mode(secret) == 0o600
    assert mode(secret.parent) == 0o700


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        # The URL of a webhook stands in the file, and may be a secret.
        (ReceiverType.WEBHOOK, 0o644, 0o640),
        (ReceiverType.WEBHOOK, 0o640, 0o640),
        (ReceiverType.WEBHOOK, 0o600, 0o600),
        (ReceiverType.WEBHOOK, None, 0o600),
        (ReceiverType.SLACK, 0o644, 0o644),
        (ReceiverType.EMAIL, None, 0o644),
    ],
)
async def test_a_file_with_the_address_of_a_webhook_is_not_for_all_to_read(
    receivers: Receivers,
    file: Path,
    kind: ReceiverType,
    before: int | None,
    after: int,
) -> None:
    if before is None:
        remove(file)
    else:
        allow(file, before)
    target = "a@example.com" if kind is ReceiverType.EMAIL else "https://a.example/"

    await receivers.add(JobReceiver(job="backup", type=kind, target=target))

    assert mode(file) == after


async def test_without_a_way_to_reload_it_is_only_written(
    receivers: Receivers, alertmanager: Alertmanager, file: Path
) -> None:
    """Somebody else has it loaded."""
    receivers.manage(ManagedFile(file, "", listing))

    _, applied = await receivers.add(receiver())

    assert applied is Applied.WRITTEN
    assert (said(file), alertmanager.read) == ("https://a.example/\n", [])


async def test_without_a_file_it_is_only_stored(
    receivers: Receivers, store: MemoryStore, file: Path
) -> None:
    """It is in the file once there is one."""
    receivers.manage(None)

    _, applied = await receivers.add(receiver())
    await receivers.refresh()

    assert applied is Applied.STORED
    assert (await targets(store), said(file)) == (["https://a.example/"], OLD)


@pytest.mark.parametrize(
    "error",
    [
        # It says that its file is bad until it has read a good one.
        AlertmanagerRefusedError("no route provided"),
        # It may have read the new one, and only been slow to say so.
        AlertmanagerError("no answer within 10 s"),
    ],
)
async def test_what_alertmanager_does_not_take_is_undone(
    receivers: Receivers,
    alertmanager: Alertmanager,
    store: MemoryStore,
    file: Path,
    error: AlertmanagerError,
) -> None:
    """The old file is back, to the byte, and read again; the receiver is gone."""
    alertmanager.error = error

    with pytest.raises(type(error), match=f"^{error}; the old file was restored$"):
        await receivers.add(receiver())

    assert alertmanager.read == ["https://a.example/\n", OLD]
    assert (await targets(store), said(file)) == ([], OLD)
    assert not list((file.parent / "secrets").iterdir())


async def test_a_receiver_stays_if_alertmanager_does_not_let_it_go(
    receivers: Receivers, alertmanager: Alertmanager, store: MemoryStore, file: Path
) -> None:
    """In the database, in the file, and with its secret."""
    added, _ = await receivers.add(receiver())
    alertmanager.error = AlertmanagerError("connection refused")

    with pytest.raises(AlertmanagerError):
        await receivers.remove(added.id)

    assert await targets(store) == ["https://a.example/"]
    assert said(file) == "https://a.example/\n"
    assert (file.parent / "secrets" / f"receiver-{added.id}").exists()


async def test_a_receiver_that_is_removed_leaves_no_secret(
    receivers: Receivers, store: MemoryStore, file: Path
) -> None:
    """Those of others stay, and so does what is none of ours."""
    first, _ = await receivers.add(receiver("https://a.example/"))
    second, _ = await receivers.add(receiver("https://b.example/"))
    (file.parent / "secrets" / "smtp_password").write_text("hunter2")

    await receivers.remove(first.id)

    left = {path.name for path in (file.parent / "secrets").iterdir()}
    assert left == {f"receiver-{second.id}", "smtp_password"}
    assert (await targets(store), said(file)) == (
        ["https://b.example/"],
        "https://b.example/\n",
    )


async def test_what_cannot_be_generated_changes_nothing(
    receivers: Receivers, store: MemoryStore, file: Path
) -> None:
    """And says what is in the way."""
    receivers.manage(ManagedFile(file, RELOAD, refusing))

    with pytest.raises(GenerateError, match="is in base"):
        await receivers.add(receiver())

    assert (await targets(store), said(file)) == ([], OLD)


async def test_what_cannot_be_written_changes_nothing(
    receivers: Receivers, store: MemoryStore, file: Path
) -> None:
    """Not even half of it."""
    (file.parent / "secrets").write_text("in the way")

    with pytest.raises(GenerateError, match="cannot write"):
        await receivers.add(receiver())

    assert (await targets(store), said(file)) == ([], OLD)


async def test_what_others_may_not_read_they_may_not_read_afterwards(
    receivers: Receivers, file: Path
) -> None:
    """A file that it is merged from may have had secrets in it."""
    allow(file, 0o640)

    await receivers.add(receiver())

    assert mode(file) == 0o640


async def test_two_at_once_are_one_after_the_other(
    receivers: Receivers, store: MemoryStore, file: Path
) -> None:
    """Both are in the file, and of two that are the same one is refused."""
    wanted = [receiver("https://a.example/"), receiver("https://b.example/")] * 2

    results = await asyncio.gather(
        *(receivers.add(one) for one in wanted), return_exceptions=True
    )

    refused = [one for one in results if isinstance(one, ReceiverExistsError)]
    assert len(refused) == 2
    assert await targets(store) == ["https://a.example/", "https://b.example/"]
    assert said(file) == "https://a.example/\nhttps://b.example/\n"


async def test_what_somebody_wrote_by_hand_is_left_alone(
    receivers: Receivers, alertmanager: Alertmanager, store: MemoryStore, file: Path
) -> None:
    """It may be the only copy; the way out is named."""
    write(file, "route: {receiver: us}\n")

    with pytest.raises(GenerateError, match=r"alertmanager\.yml'.*alertmanager\.base"):
        await receivers.add(receiver())
    with capture_logs() as logs:
        await receivers.refresh()

    assert [one["log_level"] for one in logs] == ["error"]
    assert (said(file), alertmanager.read) == ("route: {receiver: us}\n", [])
    assert await targets(store) == []
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("text", [None, "", "\n"])
async def test_a_file_with_nothing_in_it_is_filled(
    receivers: Receivers, file: Path, text: str | None
) -> None:
    """Somebody may have made it for its mode or its owner."""
    write(file, text)

    await receivers.add(receiver())

    assert said(file) == "https://a.example/\n"


async def test_a_secret_that_cannot_be_removed_undoes_nothing(
    receivers: Receivers, store: MemoryStore, file: Path
) -> None:
    """Alertmanager has the new file by then: it is said, and no more."""
    (file.parent / "secrets" / "receiver-99" / "x").mkdir(parents=True)

    with capture_logs() as logs:
        added, applied = await receivers.add(receiver())
        await receivers.remove(added.id)

    assert applied is Applied.RELOADED
    assert (await targets(store), said(file)) == ([], "")
    warned = [one for one in logs if one["log_level"] == "warning"]
    assert [Path(one["file"]).name for one in warned] == ["receiver-99"] * 2


async def test_a_refresh_writes_what_is_stored(
    receivers: Receivers, store: MemoryStore, file: Path
) -> None:
    """As after a change of the configuration, or a start."""
    await store.add_receivers([receiver()])

    await receivers.refresh()

    assert said(file) == "https://a.example/\n"


async def test_a_refresh_that_is_refused_is_only_logged(
    receivers: Receivers, store: MemoryStore, alertmanager: Alertmanager, file: Path
) -> None:
    """The old file is back; the receivers stay."""
    await store.add_receivers([receiver()])
    alertmanager.error = AlertmanagerRefusedError("no route provided")

    with capture_logs() as logs:
        await receivers.refresh()

    assert logs[-1]["log_level"] == "error"
    assert logs[-1]["error"] == "no route provided; the old file was restored"
    assert (await targets(store), said(file)) == (["https://a.example/"], OLD)


async def test_alertmanager_may_start_after_us(
    receivers: Receivers, store: MemoryStore, alertmanager: Alertmanager, file: Path
) -> None:
    """It finds the new file when it does."""
    await store.add_receivers([receiver()])
    alertmanager.error = AlertmanagerError("connection refused")

    with capture_logs() as logs:
        await receivers.refresh()

    assert [one["log_level"] for one in logs] == ["warning", "info"]
    assert said(file) == "https://a.example/\n"


async def test_it_is_known_whether_the_file_is_as_it_should_be(
    receivers: Receivers, alertmanager: Alertmanager, file: Path
) -> None:
    """Until it is again; somebody who was answered with the error knows already."""
    known = [receivers.file_ok]
    alertmanager.error = AlertmanagerRefusedError("no route provided")
    with suppress(AlertmanagerError):
        await receivers.add(receiver())
    known.append(receivers.file_ok)

    await receivers.refresh()
    known.append(receivers.file_ok)
    alertmanager.error = AlertmanagerError("connection refused")
    await receivers.refresh()
    known.append(receivers.file_ok)
    receivers.manage(ManagedFile(file, RELOAD, refusing))
    await receivers.refresh()
    known.append(receivers.file_ok)
    receivers.manage(None)

    assert known == [True, True, False, True, False]
    assert receivers.file_ok is None


async def test_a_refresh_survives_what_nobody_thought_of(
    receivers: Receivers, file: Path
) -> None:
    """The daemon takes pings, whatever becomes of this."""

    def broken(_: Sequence[JobReceiver]) -> Mapping[Path, str]:
        raise RuntimeError("nobody thought of this")

    receivers.manage(ManagedFile(file, RELOAD, broken))

    with capture_logs() as logs:
        await receivers.refresh()

    assert (logs[-1]["log_level"], said(file)) == ("error", OLD)


class TestSuccesses:
    """Jobs announce their ok runs as long as a receiver wants to hear of them."""

    @pytest.fixture
    async def service(self, store: MemoryStore, clock: ManualClock) -> Service:
        service = Service(
            store, clock, job_config(BACKUP, replace(BACKUP, name="other"))
        )
        await service.start()
        return service

    @pytest.fixture
    def job_admin(self, service: Service, clock: ManualClock) -> JobAdmin:
        return JobAdmin(service, clock)

    async def test_are_announced_from_then_on_and_until_it_is_removed(
        self, store: MemoryStore, service: Service, job_admin: JobAdmin
    ) -> None:
        kept = Receivers(store, no_reload, job_admin.announce_successes)
        added, _ = await kept.add(wanting())
        assert announcing(service) == {"backup": True, "other": False}

        await service.record(ping("21 12:00"))
        state = service.state("backup")
        assert state is not None
        assert [one.key.condition for one in state.alerts] == ["succeeded"]
        # The run is the record of it.
        assert await store.alerts(AlertFilter()) == []

        await kept.remove(added.id)
        assert announcing(service) == {"backup": False, "other": False}
        assert not store.states["backup"].alerts

    async def test_are_announced_as_stored_after_a_start(
        self, store: MemoryStore, service: Service, job_admin: JobAdmin
    ) -> None:
        await store.add_receivers([wanting()])
        await Receivers(store, no_reload, job_admin.announce_successes).refresh()

        assert announcing(service) == {"backup": True, "other": False}

    async def test_of_a_job_that_is_paused_are_not_shown(
        self, store: MemoryStore, service: Service, job_admin: JobAdmin
    ) -> None:
        await job_admin.pause("backup")
        await Receivers(store, no_reload, job_admin.announce_successes).add(wanting())
        await service.record(ping("21 12:00"))

        assert announcing(service)["backup"]
        assert not store.states["backup"].alerts


def wanting() -> JobReceiver:
    return replace(receiver(), on_success=True)


def announcing(service: Service) -> dict[str, bool]:
    return {job.name: state.announces_success for job, state in service.watched()}


async def no_reload(_: str) -> None:
    """Stand for an Alertmanager that nobody keeps a file for."""
