"""The log is no way out: whatever is handed to it, a value of a patient does not reach the stream."""

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from asepsis.errors.settings import SettingRefused
from asepsis.logs import NAME_KEYS, NUMBER_KEYS, PATH_KEYS, allowed, configure, get_logger

CANARY = "Zsófia Ködmön-Ibarra"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the log wrote; the process is as before afterwards."""
    root = logging.getLogger()
    handlers, level, show = list(root.handlers), root.level, warnings.showwarning
    written = io.StringIO()
    configure(written, level="debug")
    yield written
    structlog.reset_defaults()
    root.handlers[:], warnings.showwarning = handlers, show
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_event_level_and_time(stream: io.StringIO) -> None:
    get_logger().info("run.settled", run="run-7", count=3, seconds=0.5)
    (line,) = lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {"event": "run.settled", "level": "info", "run": "run-7", "count": 3, "seconds": 0.5}


def test_a_key_that_is_not_on_the_list_is_dropped(stream: io.StringIO) -> None:
    get_logger().info("run.settled", patient=CANARY, run="run-7")
    assert lines(stream)[0].keys() == {"event", "level", "at", "run"}


@pytest.mark.parametrize("event", [CANARY, "Run settled", f"run.{CANARY}", "", "run.settled\n", "a" * 201])
def test_an_event_that_is_no_constant_name_is_replaced(stream: io.StringIO, event: str) -> None:
    get_logger().warning(event)
    assert lines(stream)[0]["event"] == "event.invalid"


@pytest.mark.parametrize("value", [CANARY, "Jane Doe", "a" * 201, "", "x\ny", ["run-7"], {"a": 1}, None, 7])
def test_a_value_without_the_shape_of_a_name_is_dropped(value: Any) -> None:
    assert allowed({"event": "run.settled", "run": value}) == {"event": "run.settled"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, "3", CANARY])
def test_a_number_that_is_none_is_dropped(value: Any) -> None:
    assert allowed({"event": "run.settled", "count": value}) == {"event": "run.settled"}


def test_our_error_is_logged_by_class_code_and_kind(stream: io.StringIO) -> None:
    get_logger().failed("settings.read", SettingRefused(setting=CANARY))
    line = lines(stream)[0]
    assert (line["error"], line["code"], line["kind"]) == ("SettingRefused", "settings.refused", "invalid")
    assert CANARY not in stream.getvalue()


def test_a_foreign_exception_is_logged_by_class_only(stream: io.StringIO) -> None:
    try:
        int(CANARY)
    except ValueError as error:
        get_logger().failed("run.failed", error, exc_info=True)
    line = lines(stream)[0]
    assert line.keys() == {"event", "level", "at", "error"}
    assert line["error"] == "ValueError"


def test_the_message_of_a_library_is_dropped(stream: io.StringIO) -> None:
    logging.getLogger("some.driver").error("could not convert %r", CANARY)
    line = lines(stream)[0]
    assert line.pop("at")
    assert line == {"event": "library.message", "level": "error", "library": "some.driver"}


def test_the_text_of_a_warning_is_dropped(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure(stream, level="debug")
        warnings.warn(CANARY, UserWarning, stacklevel=1)
    assert lines(stream)[0]["error"] == "UserWarning"
    assert CANARY not in stream.getvalue()


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    configure(stream, level="error")
    get_logger().warning("run.settled")
    assert stream.getvalue() == ""


KEYS = st.one_of(st.sampled_from(sorted((NAME_KEYS | NUMBER_KEYS) - {"level", "at"})), st.text(max_size=20))
PLANTED = st.one_of(
    st.just(CANARY),
    st.tuples(st.text(max_size=5), st.text(max_size=5)).map(lambda ends: ends[0] + CANARY + ends[1]),
    st.just([CANARY]),
    st.just({"name": CANARY}),
    st.just(ValueError(CANARY)),
    st.just(CANARY.encode()),
)


@given(event=st.one_of(st.just("run.settled"), PLANTED), values=st.dictionaries(KEYS, PLANTED, max_size=6))
def test_a_canary_never_appears(event: Any, values: dict[str, Any]) -> None:
    written = json.dumps(allowed({**values, "event": event}), ensure_ascii=False)
    assert CANARY not in written
    assert "Zs" not in written


@given(st.dictionaries(st.text(max_size=10), st.text() | st.integers() | st.floats(), max_size=8))
def test_only_allowed_keys_and_plain_values_remain(values: dict[str, Any]) -> None:
    kept = allowed(values)
    assert kept.keys() <= NAME_KEYS | NUMBER_KEYS | PATH_KEYS | {"event"}
    json.dumps(kept, allow_nan=False)


def test_without_a_stream_lines_go_to_the_standard_error_of_the_moment(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO
) -> None:
    """One process may give itself another standard error; the earlier one may be closed by then."""
    del stream  # it restores the settings afterwards
    closed = io.StringIO()
    monkeypatch.setattr(sys, "stderr", closed)
    configure()
    closed.close()
    now = io.StringIO()
    monkeypatch.setattr(sys, "stderr", now)
    get_logger().warning("step.taken")
    assert "step.taken" in now.getvalue()
