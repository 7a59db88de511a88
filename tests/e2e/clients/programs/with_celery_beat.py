"""Celery's beat and a worker, each task of the schedule a monitor of Sentry's SDK."""

from __future__ import annotations

import os
import sys
import tempfile

import celery
import sentry_sdk
from celery.schedules import schedule
from job import url, work
from sentry_sdk.integrations.celery import CeleryIntegration

sentry_sdk.init(
    dsn=url.replace("http://", "http://public@") + "/42",
    integrations=[CeleryIntegration(monitor_beat_tasks=True)],
)
folder = tempfile.mkdtemp(dir=os.environ["FOLDER"])
app = celery.Celery("jobs", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": folder,
        "data_folder_out": folder,
        "control_folder": folder,
    },
    worker_hijack_root_logger=False,
    beat_schedule_filename=os.path.join(folder, "beat"),
    beat_schedule={"celery-beat": {"task": "nightly", "schedule": schedule(3600)}},
)
done = []


@app.task(name="nightly")
def nightly():
    if not done:
        done.append(1)
        work()


@celery.signals.task_postrun.connect
def end(**_):
    sentry_sdk.flush(timeout=float(os.environ["PATIENCE"]))
    app.control.shutdown()


@celery.signals.beat_init.connect
def begin(sender, **_):
    entry = sender.scheduler.schedule["celery-beat"]
    sender.scheduler.apply_entry(entry)


sys.exit(
    app.worker_main(
        [
            "worker",
            "--beat",
            "--pool=solo",
            "--loglevel=ERROR",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
)
