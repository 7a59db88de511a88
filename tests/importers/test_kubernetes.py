"""CronJobs as people and kubectl write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.importers.kubernetes import read
from afterrun_exporter.importers.model import Imported, InputFile
from afterrun_exporter.importers.writing import render
from tests.examples import examples
from tests.importers import results

FULL = """\
# Jobs of the shop.
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {key: !!binary aGk=}
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: db-backup
  namespace: prod
  labels:
    app.kubernetes.io/name: postgres
    app.kubernetes.io/part-of: shop
    helm.sh/chart: postgres-12.1.0
    example.com/team: data
  annotations:
    kubernetes.io/description: Dump the database to S3
    example.com/runbook-url: https://wiki.example/backup
spec:
  schedule: "30 2 * * *"
  timeZone: Europe/Riga
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  suspend: true
  successfulJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 2
      activeDeadlineSeconds: 3600
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: dump
              image: postgres:16
              command: [pg_dump]
"""


def imported(*texts: str) -> Imported:
    return results.imported(read, *texts)


def cron_job(spec: str = "", metadata: str = "", job: str = "") -> str:
    """Return a CronJob with lines in its sections."""
    return (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: job\n"
        f"{metadata}spec:\n  schedule: '0 1 * * *'\n{spec}"
        f"  jobTemplate:\n    spec:\n{job}      template: {{}}\n"
    )


def only(text: str) -> Any:
    """Return the settings of the only job in *text*, of which all is mapped."""
    result = imported(text)
    assert results.reports(result) == []
    (job,) = result.jobs
    return job.settings


def test_a_cron_job_with_everything_becomes_a_job_with_everything() -> None:
    result = imported(FULL)

    assert results.reports(result) == []
    assert results.settings(result) == {
        "db-backup": {
            "description": "Dump the database to S3",
            "schedule": "30 2 * * *",
            "timezone": "Europe/Riga",
            "grace": "10m",
            "max_runtime": "1h",
            "max_attempts": 3,
            "labels": {
                "team": "data",
                "app": "postgres",
                "kubernetes_namespace": "prod",
            },
            "project": "shop",
            "runbook_url": "https://wiki.example/backup",
            "enabled": False,
            "concurrency": {"max": 1},
        }
    }
    (job,) = result.jobs
    assert str(job.source) == "input:7"
    comments = "\n".join(job.comments)
    assert "CronJob prod/db-backup" in comments
    assert "labels that are not imported: helm.sh/chart" in comments
    assert "in container dump" in comments
    assert "afterrun exec db-backup -- COMMAND" in comments


def test_without_a_time_zone_it_is_that_of_the_controller() -> None:
    result = imported(cron_job())

    assert results.settings(result)["job"] == {
        "schedule": "0 1 * * *",
        "timezone": "UTC",
    }
    assert any("kube-controller-manager" in one for one in result.jobs[0].comments)


@pytest.mark.parametrize(
    ("spec", "key", "value"),
    [
        ("  suspend: yes\n", "enabled", False),
        ("  suspend: off\n", "enabled", None),
        ("  suspend: false\n", "enabled", None),
        ("  concurrencyPolicy: Allow\n", "concurrency", None),
        ("  concurrencyPolicy: Replace\n", "concurrency", None),
        ("  startingDeadlineSeconds: 90.0\n", "grace", "1m30s"),
        ("  timeZone: Etc/UTC\n", "timezone", "Etc/UTC"),
        ("  timeZone: null\n", "timezone", "UTC"),
    ],
)
def test_settings_of_the_spec(spec: str, key: str, value: object) -> None:
    assert only(cron_job(spec)).get(key) == value


def test_a_suspended_job_goes_on_when_it_is_resumed_by_hand() -> None:
    """`enabled` is written only for a suspended job."""
    assert "enabled" not in only(cron_job("  suspend: false\n"))


@pytest.mark.parametrize(
    ("spec", "job", "report"),
    [
        ("  timeZone: Mars/Base\n", "", "input:7: CronJob job: spec.timeZone: 'Mars/Base': unknown time zone"),
        ("  timeZone: ''\n", "", "spec.timeZone: '': unknown time zone ''"),
        ("  suspend: maybe\n", "", "expected true or false, not 'maybe'"),
        ("  suspend: [1]\n", "", "expected true or false, not a list"),
        ("  concurrencyPolicy: forbid\n", "", "use Allow, Forbid or Replace"),
        ("  startingDeadlineSeconds: 0\n", "", "expected a number from 1 on"),
        ("  startingDeadlineSeconds: '60'\n", "", "expected a number from 1 on"),
        ("  startingDeadlineSeconds: 999999999\n", "", "at most ten years"),
        ("", "      backoffLimit: -1\n", "expected a number from 0 on"),
        ("", "      backoffLimit: 5000\n", "at most 1000 attempts"),
        ("", "      parallelism: 4\n", "input:9: CronJob job: spec.jobTemplate.spec.parallelism: 4: several pods"),
        ("", "      completions: 3\n", "a run has several pods"),
        ("", "      podFailurePolicy: {rules: []}\n", "failures may end the run"),
        ("", "      suspend: true\n", "the runs are created suspended"),
        ("  suspend: true\n  suspend: false\n", "", "duplicate key, first on line 7"),
    ],
)  # fmt: skip
def test_what_cannot_be_mapped_is_reported_with_its_line(
    spec: str, job: str, report: str
) -> None:
    result = imported(cron_job(spec, job=job))

    (found,) = results.reports(result)
    assert report in found
    assert len(result.jobs) == 1


@pytest.mark.parametrize(
    "schedule",
    ["0 0 * * 7", "0 0 0 * * *", "@reboot", "{{ .Values.cron }}", "${CRON}", "[1]", ""],
)
def test_a_job_whose_schedule_is_not_valid_is_imported_without_one(
    schedule: str,
) -> None:
    text = cron_job().replace("'0 1 * * *'", json.dumps(schedule))

    result = imported(text)

    assert results.settings(result) == {"job": {}}
    (report,) = results.reports(result)
    assert report.startswith("input:6: CronJob job: spec.schedule: ")
    assert any("without a schedule" in one for one in result.jobs[0].comments)


def test_a_zone_both_in_the_schedule_and_beside_it_is_refused_as_by_kubernetes() -> (
    None
):
    text = cron_job("  timeZone: Europe/Riga\n").replace("'0 1", "'TZ=UTC 0 1")

    assert "together with timeZone" in results.reports(imported(text))[0]


def test_limits_of_a_pod_are_those_of_an_attempt() -> None:
    text = cron_job().replace(
        "template: {}", "template: {spec: {activeDeadlineSeconds: 60}}"
    )

    result = imported(text)

    assert results.settings(result)["job"]["max_runtime"] == "1m"
    assert any("of an attempt" in one for one in result.jobs[0].comments)


@pytest.mark.parametrize("backoff", [0, 6])
def test_retries_are_attempts_after_the_first(backoff: int) -> None:
    settings = only(cron_job(job=f"      backoffLimit: {backoff}\n"))

    assert settings["max_attempts"] == backoff + 1


NAMESPACES = "".join(
    f"---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {name}, namespace: {space}}}\n"
    "spec: {schedule: '@daily'}\n"
    for space, name in [("a", "sync"), ("b", "sync"), ("b", "mail"), ("", "sync")]
)


def test_names_that_are_in_several_namespaces_begin_with_the_namespace() -> None:
    result = imported(NAMESPACES)

    assert [job.name for job in result.jobs] == ["a-sync", "b-sync", "mail", "sync"]
    assert [str(job.source) for job in result.jobs] == [
        "input:2", "input:7", "input:12", "input:17",
    ]  # fmt: skip


def test_names_do_not_depend_on_the_order_of_the_files() -> None:
    parts = NAMESPACES.split("---\n")[1:]

    names = {job.name for job in imported(*parts[::-1]).jobs}

    assert names == {job.name for job in imported(NAMESPACES).jobs}


def test_a_cron_job_that_is_there_twice_is_imported_once() -> None:
    result = imported(cron_job(), cron_job("  suspend: true\n"))

    assert "enabled" not in results.settings(result)["job"]
    assert results.reports(result) == [
        "input1:1: CronJob job: is already in input:1; that one is imported"
    ]


def test_lists_of_kubectl_are_read_with_the_line_of_each_item() -> None:
    items = [
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": name, "namespace": "x", "managedFields": [deep(60)]},
            "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {}}},
            "status": {"lastScheduleTime": "2026-11-22T01:00:00Z"},
        }
        for name in ("one", "two")
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=4)

    result = imported(text)

    assert results.reports(result) == []
    lines = text.splitlines()
    for job in result.jobs:
        assert f'"{job.name}"' in "".join(
            lines[job.source.line - 1 : job.source.line + 5]
        )


def deep(levels: int) -> object:
    return {"f": deep(levels - 1)} if levels else {}


def test_items_of_a_cron_job_list_need_no_kind() -> None:
    text = (
        "kind: CronJobList\napiVersion: batch/v1\nmetadata: {continue: abc}\nitems:\n"
        "- metadata: {name: a}\n  spec: {schedule: '@hourly'}\n"
    )

    result = imported(text)

    assert list(results.settings(result)) == ["a"]
    assert "the list is one page of several" in results.reports(result)[0]


def test_json_with_escaped_characters_outside_the_basic_plane_is_read() -> None:
    text = (
        '{"kind": "CronJob", "metadata": {"name": "a", "annotations": '
        '{"description": "\\ud83d\\ude00"}}, "spec": {"schedule": "@daily"}}'
    )

    assert only(text)["description"] == "\N{GRINNING FACE}"


HELM = """\
{{- if .Values.backup.enabled }}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "app.fullname" . }}-backup
spec:
  schedule: {{ .Values.backup.schedule | quote }}
{{- end }}
"""


def test_templates_are_reported_with_the_way_to_render_them() -> None:
    result = imported(f"{cron_job()}---\n{HELM}")

    assert list(results.settings(result)) == ["job"]
    (report,) = results.reports(result)
    assert report.startswith(
        "input:11: {{- if .Values.backup.enabled }}: is a template"
    )
    assert "helm template" in report


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("kind: Kustomization\nresources: [cronjob.yaml]\n", "input:1: Kustomization: render it first: kubectl kustomize"),
        (
            "kind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: {backoffLimit: 1}}}\n",
            "CronJob a: has no spec.schedule; if it is a patch of kustomize",
        ),
        ("kind: CronJob\nmetadata: {name: a}\n$patch: delete\n", "a patch of kustomize"),
        (
            "- {op: replace, path: /spec/schedule, value: '@daily'}\n",
            "input:1: patch of /spec/schedule: a patch of kustomize",
        ),
        ("kind: CronJob\nmetadata: {generateName: a-}\nspec: {schedule: '@daily'}\n", "has no valid metadata.name"),
        ("kind: CronJob\nmetadata: {name: '${APP}-x'}\nspec: {schedule: '@daily'}\n", "contains a variable"),
        ("kind: CronJob\nmetadata: {name: 404}\nspec: {schedule: '@daily'}\n", "has no valid metadata.name"),
        (
            "apiVersion: batch.tutorial.kubebuilder.io/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {schedule: '@daily'}\n",
            "is of batch.tutorial.kubebuilder.io/v1, not of batch/v1",
        ),
        ("kind: CronWorkflow\nmetadata: {name: w}\nspec: {schedules: ['0 1 * * *']}\n", "CronWorkflow w: has a schedule, but is no CronJob"),
        ("kind: Deployment\nmetadata: {name: d}\n", "there is no CronJob in the input; it has Deployment"),
        ("hello\n", "there is no CronJob in the input"),
        ("", "there is no CronJob in the input"),
        ("kind: CronJob\nmetadata: {name: a\n", "not YAML"),
        ("a: &a [x]\nkind: CronJob\nb: *b\n", "the alias has no anchor before it"),
    ],
)  # fmt: skip
def test_what_is_no_cron_job_is_explained(text: str, report: str) -> None:
    result = imported(text)

    assert result.jobs == ()
    (found,) = results.reports(result)
    assert report in found


def test_broken_documents_of_other_kinds_are_not_reported() -> None:
    """Only CronJobs matter; the file may be one of hundreds."""
    text = (
        f"kind: ConfigMap\ndata: {{a: [\n---\n{cron_job()}...\n---\nkind: X\nb: *no\n"
    )

    assert results.reports(imported(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1,1,1,1,1,1,1,1]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)},*{chr(97 + n)},*{chr(97 + n)},"
            f"*{chr(97 + n)},*{chr(97 + n)},*{chr(97 + n)},*{chr(97 + n)}]\n"
            for n in range(12)
        ) + "kind: CronJob\n",
        "kind: CronJob\nx: " + "[" * 5000,
        '{"kind": "CronJob", "x": ' + "[" * 5000,
        "kind: CronJob\nspec: &a {schedule: *a}\nmetadata: {name: a}\n",
        "kind: CronJob\n? [1, 2]\n: x\n",
        "kind: CronJob\nmetadata: !!python/object/apply:os.system ['true']\n",
        "--- !<tag:x> {kind: CronJob}\n",
        "kind: CronJob\x07\n",
    ],
)  # fmt: skip
def test_hostile_yaml_is_reported(text: str) -> None:
    assert results.reports(imported(text))


def test_labels_that_are_templates_or_no_text_are_reported() -> None:
    metadata = "  labels: {team: '{{ .x }}', app: 1.10, owner: a}\n"

    result = imported(cron_job(metadata=metadata))

    assert results.settings(result)["job"]["labels"] == {"owner": "a"}
    assert len(result.unmapped) == 2


def test_a_job_that_reports_already_gets_no_advice() -> None:
    text = FULL.replace(
        "[pg_dump]", "[sh, -c, 'pg_dump; curl $U/ping/db -d exit_code=$?']"
    )

    assert not any(
        "to report its runs" in one for one in imported(text).jobs[0].comments
    )


REAL = {
    # As oc and kubectl print them: null timestamps, defaults, the schedule at the end.
    "printed": """\
kind: CronJob
apiVersion: batch/v1beta1
metadata:
  creationTimestamp: null
  name: report
  labels: {app: report, app.kubernetes.io/instance: report}
spec:
  concurrencyPolicy: Allow
  failedJobsHistoryLimit: 1
  jobTemplate:
    metadata:
      creationTimestamp: null
    spec:
      template:
        metadata:
          creationTimestamp: null
        spec:
          containers:
            - command:
                - /bin/sh
                - -c
                - |-
                  echo '---'
                  TOKEN=`get ${REGION}`
              name: report
              resources: {}
          dnsPolicy: ClusterFirst
          securityContext: {}
  schedule: '*/5 * * * *'
  suspend: false
status: {}
""",
    # The first version of the API, and labels of an older convention.
    "first version": """\
apiVersion: batch/v2alpha1
kind: CronJob
metadata:
  name: report
  labels:
    application: report
    version: "0.1"
spec:
  schedule: "*/5 * * * *"
""",
    # Between other resources, with a space after the marker, and an indentation of 1.
    "among others": """\
apiVersion: v1
kind: ServiceAccount
metadata:
 name: report
 namespace: test
--- \n
kind: ClusterRoleBinding
subjects:
  - kind: ServiceAccount
    name: report
---

# every 5 minutes
apiVersion: batch/v1
kind: CronJob
metadata:
 name: report
 labels: {app: report}
spec:
 schedule: "*/5 * * * *"   # "TZ=UTC"
 jobTemplate: {spec: {template: {spec: {containers: [{name: a, args: [x]}]}}}}
---
""",
    "anchors": """\
kind: CronJob
metadata: {name: report, labels: &labels {app: report}}
spec:
  schedule: "*/5 * * * *"
  jobTemplate:
    metadata: {labels: *labels}
    spec: {template: {metadata: {labels: {<<: *labels, tier: x}}}}
""",
}


@pytest.mark.parametrize("text", REAL.values(), ids=REAL)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_manifests_as_they_are_found_in_repositories(text: str, newline: str) -> None:
    settings = only(text.replace("\n", newline).rstrip())

    assert settings == {
        "schedule": "*/5 * * * *",
        "timezone": "UTC",
        "labels": {"app": "report"},
    }


def test_a_template_of_openshift_is_reported_with_the_way_to_process_it() -> None:
    text = f"kind: Template\nobjects:\n- {json.dumps({'kind': 'CronJob'})}\n"

    assert "oc process -f FILE" in results.reports(imported(text))[0]


names = st.from_regex(r"[a-z]([a-z-]{0,8}[a-z])?", fullmatch=True)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-10, 10**12)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["yes", "UTC", "Europe/Riga", "Forbid", "@daily", "0 0 * * 1"])
    | st.lists(st.none(), max_size=1)
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
)
keys = st.sampled_from(
    ["schedule", "timeZone", "suspend", "startingDeadlineSeconds", "concurrencyPolicy"]
)
job_keys = st.sampled_from(
    ["backoffLimit", "activeDeadlineSeconds", "parallelism", "completions", "suspend"]
)
texts = st.dictionaries(
    st.sampled_from(["team", "app", "description", "runbook", "a/owner", "x"]), scalars
)
cron_jobs = st.fixed_dictionaries(
    {
        "kind": st.just("CronJob"),
        "metadata": st.fixed_dictionaries(
            {"name": names, "labels": texts, "annotations": texts},
            optional={"namespace": names},
        ),
        "spec": st.dictionaries(keys, scalars).flatmap(
            lambda spec: st.dictionaries(job_keys, scalars).map(
                lambda job: {"schedule": "@daily", **spec, "jobTemplate": {"spec": job}}
            )
        ),
    }
)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(cron_jobs, min_size=1, max_size=4))
def test_any_cron_jobs_become_a_valid_file(jobs: list[object]) -> None:
    """Also values that Kubernetes would refuse are reported, and never invalid here."""
    text = json.dumps({"kind": "List", "items": jobs})

    result = imported(text)

    assert len(result.jobs) + len(result.unmapped) >= len(jobs)


@settings(max_examples=examples(40), deadline=None)
@given(st.text(max_size=60).map(lambda text: f"kind: CronJob\n{text}") | st.text())
def test_any_text_is_read(text: str) -> None:
    render(read([InputFile("input", text)]))
