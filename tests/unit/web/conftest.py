"""One served room for all tests of the doors; they only read it."""

import importlib.util
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

_spec = importlib.util.spec_from_file_location("served_room", Path(__file__).with_name("served_room.py"))
if _spec is not None and _spec.loader is not None and "served_room" not in sys.modules:
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["served_room"] = _module
    _spec.loader.exec_module(_module)

from served_room import Served, serve_room  # noqa: E402

from asepsis.cli.server import application  # noqa: E402


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return serve_room(tmp_path_factory.mktemp("served") / "room")


@pytest.fixture(scope="session")
def client(served: Served) -> TestClient:
    return TestClient(application(served.room), base_url="http://127.0.0.1:8765")
