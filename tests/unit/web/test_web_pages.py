"""The pages are well-formed, escape everything, run nothing, and show released tables only."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from served_room import CANARY, COST, HOSTILE, NOISY, Served, make_room, settle
from starlette.testclient import TestClient

from asepsis.bootstrap.room import create_room
from asepsis.cli.server import application
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.explanation import MEANINGS
from asepsis.domain.release import CellAction, ReleaseStatus
from asepsis.sealing.agreement import contract_payload
from asepsis.sealing.signing import Purpose
from asepsis.web.app import environment
from asepsis.web.views import ledger_page

VOID = {"meta", "link", "img", "br"}
EXTERNAL = {"href", "src"}
LARGEST_STYLE = 15 * 1024


class Page(HTMLParser):
    """Refuses what is not well-formed; gathers ids, links and everything that could run or reach elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.bad: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == [], f"left open: {self.open}"
        assert len(set(self.ids)) == len(self.ids), "an id occurs twice"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._note(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> crosses another element"

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in EXTERNAL:
                self.links.append(value or "")
            if name == "style" or name.startswith("on") or (value or "").lower().startswith("javascript:"):
                self.bad.append(f"{tag} {name}")


def read(client: TestClient, address: str, *, status: int = 200) -> str:
    answer = client.get(address, headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    return answer.text


@pytest.fixture
def pages(client: TestClient, served: Served) -> dict[str, str]:
    addresses = ["/", "/ledger", "/ledger?page=9", "/host"]
    addresses += [f"/releases/{release}" for release in (served.counts, served.curves, served.waiting)]
    found = {address: read(client, address) for address in addresses}
    return found | {"/nothing": read(client, "/nothing", status=404)}


def test_every_page_is_well_formed_and_runs_nothing(pages: dict[str, str]) -> None:
    for address, text in pages.items():
        page = Page(text)
        assert not page.tags & {"script", "style", "iframe", "object", "embed", "form"}, address
        assert not page.bad, address


def test_every_link_stays_in_the_room_and_leads_somewhere(pages: dict[str, str], client: TestClient) -> None:
    for link in {link for text in pages.values() for link in Page(text).links}:
        assert link.startswith(("/", "#main")), link
        assert not link.startswith("//"), link
        assert link.startswith("#") or client.get(link).status_code == 200, link


def test_a_value_is_shown_as_text_and_never_as_markup(pages: dict[str, str], served: Served) -> None:
    page = pages[f"/releases/{served.counts}"]
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;") >= 2, "in the table and in the chart"


def test_no_page_carries_what_was_not_released(pages: dict[str, str]) -> None:
    assert all(CANARY not in text for text in pages.values())


def test_the_overview_says_whose_turn_it_is(pages: dict[str, str], served: Served) -> None:
    text = pages["/"]
    for part in ("NON-CONFIDENTIAL", "in force", "northgate or riverside", served.waiting, served.referral):
        assert part in text
    assert served.room.contracts.status().digest in text


def test_a_contract_that_waits_shows_each_partys_signature(tmp_path: Path) -> None:
    room = make_room(tmp_path / "room", signed=False)
    text = read(TestClient(application(room), base_url="http://localhost"), "/")
    assert text.count("signs the contract") == 4
    assert "proposed" in text


def test_a_contract_that_is_over_is_shown_as_expired(tmp_path: Path) -> None:
    valid = {"from": "2020-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z"}
    room = make_room(tmp_path / "room", valid=valid, signed=False)
    document = room.state.contract()[1]
    for party in ("ada", "north-clinic", "room"):
        room.contracts.sign(party, signature=room.keys(party).sign(*payload(document)))
    room.contracts.sign("riverside", signature=room.keys("riverside").sign(*payload(document)))
    assert "expired" in read(TestClient(application(room), base_url="http://localhost"), "/")


def test_a_room_without_a_contract_has_an_overview(tmp_path: Path) -> None:
    room = create_room(tmp_path / "room", origin="room.example")
    client = TestClient(application(room), base_url="http://localhost")
    assert "No contract yet" in read(client, "/")
    Page(read(client, "/ledger"))


def test_a_release_shows_what_was_done_to_each_cell_and_its_evidence(pages: dict[str, str], served: Served) -> None:
    text = pages[f"/releases/{served.counts}"]
    assert 'class="suppressed"' in text
    assert text.count('class="rounded number"') == 3
    assert "One group is smaller than the threshold." in text
    assert f"/v1/releases/{served.counts}/bundle" in text
    assert "process, level 0" in text


def test_a_release_with_noise_shows_how_near_each_number_is_and_what_it_cost(tmp_path: Path) -> None:
    """Guard: every action of a cell has its words, or the page fails."""
    room = make_room(tmp_path / "room")
    noisy = settle(room, 1, NOISY, ReleaseStatus.RELEASED, COST)
    client = TestClient(application(room), base_url="http://localhost")
    text = read(client, f"/releases/{noisy}")
    assert text.count('class="noisy number"') == 2
    assert "± 31.2" in text
    assert "The question costs 20000" in text
    assert "What it cost" in text
    assert all(meaning in text for meaning in (MEANINGS[CellAction.NOISY], MEANINGS[CellAction.MARGIN]))
    release = client.get(f"/v1/releases/{noisy}").json()
    assert release["table"]["within"] == [[None, 31.2], [None, 31.2]]


def test_a_release_without_noise_has_no_such_words(pages: dict[str, str], served: Served) -> None:
    assert not {"±", "What it cost"} & set(pages[f"/releases/{served.counts}"].split())


def test_counts_are_drawn_as_bars_and_survival_as_steps(pages: dict[str, str], served: Served) -> None:
    assert pages[f"/releases/{served.counts}"].count('<rect class="bar"') == 3
    assert pages[f"/releases/{served.curves}"].count('<path class="curve') == 2


def test_an_output_in_review_shows_neither_table_nor_chart_nor_bundle(pages: dict[str, str], served: Served) -> None:
    text = pages[f"/releases/{served.waiting}"]
    assert "Nothing may be shown" in text
    assert not {"svg", "caption"} & Page(text).tags
    assert "bundle" not in text


def test_the_ledger_page_lists_every_act_once(served: Served) -> None:
    page = ledger_page(served.room, 1)
    assert [position for position, _ in page.entries] == list(reversed(range(page.size)))


def test_what_the_host_sees_is_names_and_sizes(pages: dict[str, str]) -> None:
    text = pages["/host"]
    assert "snapshots/northgate-1/f1" in text
    assert "10.0 KiB" in text
    assert "parties/" not in text
    assert "nothing that Asepsis wrote" not in text


def test_a_file_of_somebody_else_in_the_hosts_folder_is_told(tmp_path: Path) -> None:
    room = create_room(tmp_path / "room", origin="room.example")
    (room.folder / "host" / "patients.csv").write_text(CANARY)
    text = read(TestClient(application(room), base_url="http://localhost"), "/host")
    assert "1 file not written by Asepsis" in text
    assert CANARY not in text


def test_a_template_that_lacks_a_value_fails() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


def test_the_style_is_small_and_has_light_dark_and_print(repository_root: Path) -> None:
    style = (repository_root / "src/asepsis/web/static/asepsis.css").read_text()
    assert len(style.encode()) <= LARGEST_STYLE
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert "url(" not in style
    assert "@import" not in style


def payload(document: object) -> tuple[Purpose, bytes]:
    return Purpose.CONTRACT, contract_payload(read_contract(document))
