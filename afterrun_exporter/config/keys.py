"""What stands in URLs for a job or for a project."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from afterrun_exporter.config.error_messages import quote
from afterrun_exporter.core.model import UUID
from afterrun_exporter.core.projects import KEY
from afterrun_exporter.core.secrets import DIGEST, digest


def _ping_uuid(text: str) -> str:
    if not UUID.fullmatch(text):
        raise ValueError(
            f"{quote(text)} is not a UUID; write it in small letters, like "
            "0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"
        )
    return text


def _project_key(text: str) -> str:
    # A key is not repeated in a message: it may be somebody's after all.
    if DIGEST.fullmatch(text):
        return text
    if not KEY.fullmatch(text):
        raise ValueError(
            "not a key: 8 to 128 letters, digits, - or _, or the sha256: digest of one"
        )
    return digest(text)


PingUuid = Annotated[str, AfterValidator(_ping_uuid)]
#: Kept as a digest, however it is written.
ProjectKey = Annotated[str, AfterValidator(_project_key)]
