"""Forms of a job's page: pauses, removal and receivers."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from tests.fakes import MemoryStore
from tests.http import Client
from tests.page.conftest import HTML, Pages
from tests.page.test_job_page import STRAY
from tests.page.test_overview_rows import text_of


class TestPausing:
    @pytest.mark.parametrize(
        ("wanted", "told"),
        [
            ("1h", "until Sat 21 Nov 13:00 UTC"),
            ("1d", "until Sun 22 Nov 12:00 UTC"),
            ("", "until it is resumed"),
        ],
    )
    async def test_is_done_for_as_long_as_was_asked(
        self, pages: Pages, wanted: str, told: str
    ) -> None:
        page = await pages.send("/jobs/backup/pause", {"for": wanted})

        assert "The job is paused" in page
        assert f"Paused since Sat 21 Nov 12:00 UTC , {told}" in text_of(page)
        assert "/pause" not in page

    async def test_is_ended(self, pages: Pages, service: Service) -> None:
        await pages.send("/jobs/backup/pause", {"for": ""})
        page = await pages.send("/jobs/backup/resume")

        assert "The job is monitored again." in page
        assert (job := service.job("backup")) is not None
        assert job.enabled

    async def test_leads_back_by_a_redirect(self, pages: Pages) -> None:
        """So that loading the page anew does not pause it anew."""
        form = {"for": "1h", "token": await pages.token()}
        answer = await pages.client.post(
            "/jobs/backup/pause", data=form, allow_redirects=False
        )

        assert answer.status == 303
        assert answer.headers["Location"] == "../backup?done=paused"

    async def test_for_a_time_that_is_not_offered_is_refused(
        self, pages: Pages, service: Service
    ) -> None:
        page = await pages.send("/jobs/backup/pause", {"for": "1y"}, status=400)

        assert "for: &#39;1y&#39; is not offered" in page
        assert (state := service.state("backup")) is not None
        assert not state.paused_at

    async def test_of_a_job_that_has_gone_says_so(self, pages: Pages) -> None:
        page = await pages.send("/jobs/gone/pause", {"for": ""}, status=404)

        assert "Unknown job" in page


class TestRemoving:
    async def test_forgets_a_job_that_no_file_names(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(STRAY)
        assert "Remove stray" in await pages.get("/jobs/stray")
        page = await pages.send("/jobs/stray/retire")

        assert "The job is removed." in page
        assert "jobs/stray" not in page
        assert service.job("stray") is None

    async def test_is_for_the_file_where_that_names_the_job(
        self, pages: Pages, service: Service
    ) -> None:
        assert "/retire" not in await pages.get("/jobs/backup")
        page = await pages.send("/jobs/backup/retire", status=409)

        assert "is defined in afterrun.yml; remove it there" in page
        assert service.job("backup") is not None


MAIL = {"alert_type": "email", "target": "oncall@example.com", "on_missed": "on"}


class TestReceivers:
    async def test_are_added_and_removed(
        self, pages: Pages, store: MemoryStore
    ) -> None:
        page = await pages.send("/jobs/backup/receivers", MAIL)
        (added,) = await store.receivers()

        assert "The receiver is added." in page
        assert "email oncall@example.com missed runs" in text_of(page)
        assert (added.on_missed, added.on_failure) == (True, False)

        page = await pages.send(f"/jobs/backup/receivers/{added.id}/delete")
        assert "The receiver is removed." in page
        assert await store.receivers() == []

    @pytest.mark.parametrize(
        ("form", "message"),
        [
            (MAIL | {"target": "on call"}, "&#39;on call&#39; is not a mail address"),
            (MAIL | {"target": " "}, "the target is empty"),
            (MAIL | {"alert_type": "pigeon"}, "choose one of webhook, email"),
            ({"alert_type": "email", "target": "a@b"}, "choose at least one event"),
        ],
    )
    async def test_that_cannot_be_are_refused_and_nothing_typed_is_lost(
        self, pages: Pages, store: MemoryStore, form: dict[str, str], message: str
    ) -> None:
        page = await pages.send("/jobs/backup/receivers", form, status=400)

        assert message in page
        assert f'value="{form["target"]}" aria-invalid="true"' in page
        assert '<details id="add-receiver" open>' in page
        assert ('name="on_missed" checked' in page) is ("on_missed" in form)
        assert 'name="on_failure" checked' not in page
        assert await store.receivers() == []

    async def test_are_not_added_twice(self, pages: Pages) -> None:
        await pages.send("/jobs/backup/receivers", MAIL)
        page = await pages.send("/jobs/backup/receivers", MAIL, status=409)

        assert "already has this email receiver" in page

    async def test_show_no_secret(self, pages: Pages, store: MemoryStore) -> None:
        target = "https://hooks.slack.com/services/T0/B0/secret"
        await store.add_receivers(
            [JobReceiver(job="backup", type=ReceiverType.SLACK, target=target)]
        )
        page = await pages.get("/jobs/backup")

        assert "https://hooks.slack.com/…" in page
        assert "secret" not in page

    @pytest.mark.parametrize("number", ["7", "x", "9" * 40])
    async def test_that_are_not_there_cannot_be_removed(
        self, pages: Pages, number: str
    ) -> None:
        page = await pages.send(f"/jobs/backup/receivers/{number}/delete", status=404)

        assert "no receiver has the id" in page

    async def test_of_another_job_are_left_alone(
        self, pages: Pages, store: MemoryStore
    ) -> None:
        [added] = await store.add_receivers(
            [JobReceiver(job="other", type=ReceiverType.EMAIL, target="a@b.example")]
        )
        await pages.send(f"/jobs/backup/receivers/{added.id}/delete", status=400)

        assert await store.receivers() == [added]


class TestAForm:
    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    async def test_of_another_site_is_refused(
        self, pages: Pages, service: Service, site: str
    ) -> None:
        answer = await pages.client.post(
            "/jobs/backup/pause",
            data={"for": "", "token": await pages.token()},
            headers={**HTML, "Sec-Fetch-Site": site},
        )

        assert answer.status == 403
        assert "Cross-site request from a browser refused" in await answer.text()
        assert (state := service.state("backup")) is not None
        assert not state.paused_at

    async def test_that_no_page_of_ours_has_made_is_refused(
        self, client: Client, service: Service
    ) -> None:
        answer = await client.post(
            "/jobs/backup/pause", data={"for": "", "token": "1.made-up"}, headers=HTML
        )

        assert answer.status == 403
        assert "this form has expired: reload the page" in await answer.text()
        assert (state := service.state("backup")) is not None
        assert not state.paused_at

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"for=\xff%ff", "the form cannot be read"),
            (b"for=1h&for=1d", "a form field is sent twice"),
            (b"for=1h&until=never", "unknown field &#39;until&#39;"),
            (b"for=" + b"x" * 20_000, "send at most 16384"),
            (b"&".join(b"a%d=1" % n for n in range(99)), "the form cannot be read"),
        ],
        ids=["no text", "twice", "unknown", "large", "many"],
    )
    async def test_that_is_none_is_refused(
        self, pages: Pages, body: bytes, message: str
    ) -> None:
        form = {**HTML, "Content-Type": "application/x-www-form-urlencoded"}
        body += f"&token={await pages.token()}".encode()
        answer = await pages.client.post("/jobs/backup/pause", data=body, headers=form)

        assert answer.status == 400
        assert message in await answer.text()

    async def test_of_another_type_is_refused(self, client: Client) -> None:
        answer = await client.post("/jobs/backup/pause", json={}, headers=HTML)

        assert answer.status == 400
        assert "the body is application/json" in await answer.text()

    async def test_that_cannot_be_stored_is_told_and_kept(
        self, pages: Pages, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(_: object) -> list[JobReceiver]:
            raise StorageError("cannot write to afterrun.db: disk is full")

        monkeypatch.setattr(store, "add_receivers", full)
        page = await pages.send("/jobs/backup/receivers", MAIL, status=503)

        assert "disk is full" in page
        assert 'value="oncall@example.com"' in page
