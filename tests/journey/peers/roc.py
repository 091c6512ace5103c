"""Validates an RO-Crate with roc-validator, without any network; run by a Python that has roc-validator and rocrate.

The one document elsewhere that a crate refers to, the context of RO-Crate 1.3, comes from the rocrate package.
Usage: roc.py FOLDER PROFILE...; prints for each profile the issues with what is required, as JSON.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import requests
import rocrate
import urllib3
from requests.adapters import HTTPAdapter
from rocrate_validator import models, services

CONTEXT = (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_bytes()
URL = "https://w3id.org/ro/crate/1.3/context"


def send(self: HTTPAdapter, request: requests.PreparedRequest, **_more: Any) -> requests.Response:
    """The context; everything else is out of reach."""
    if request.url != URL:
        raise requests.ConnectionError(request.url)
    headers = {"Content-Type": "application/ld+json"}
    raw = urllib3.HTTPResponse(body=io.BytesIO(CONTEXT), headers=headers, status=200, preload_content=False)
    return self.build_response(request, raw)


def issues(folder: str, profile: str) -> list[str]:
    """What the crate lacks of what the profile requires."""
    settings = {
        "rocrate_uri": folder,
        "profile_identifier": profile,
        "requirement_severity": models.Severity.REQUIRED,
        "no_cache": True,
    }
    found = services.validate(settings).get_issues()
    return [f"{issue.check.identifier}: {issue.message}" for issue in found]


if __name__ == "__main__":
    HTTPAdapter.send = send
    folder, *profiles = sys.argv[1:]
    print(json.dumps({profile: issues(folder, profile) for profile in profiles}))  # noqa: T201
