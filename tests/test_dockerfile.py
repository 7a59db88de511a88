"""The image is built from what was looked at, not from what a tag is moved to."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "Dockerfile").read_text("utf-8")


def test_the_base_is_named_by_its_digest() -> None:
    (base,) = re.findall(r"^ARG PYTHON=(.*)$", TEXT, re.MULTILINE)

    assert re.fullmatch(r"python:3\.12-slim@sha256:[0-9a-f]{64}", base)
    bases = re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)
    assert set(bases) == {"${PYTHON}"}


def test_the_health_check_is_a_module_of_the_package() -> None:
    """What it does: tests/client/test_healthcheck.py, tests/e2e/test_tls_and_tokens.py."""
    (command,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (.*)$", TEXT, re.MULTILINE)

    python, flag, module = json.loads(command)
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(module) is not None


def test_it_has_the_program_that_follows_repositories() -> None:
    assert re.search(r"apt-get install .* git( |$)", TEXT, re.MULTILINE)
