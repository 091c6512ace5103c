"""One suite over the two ways to a desk: in process, and as a program behind HTTPS with certificates on both sides."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_world import NORTH, SOUTH, Runtime, World

from asepsis.desks.remote import DeskAddress, RemoteDesk
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.keydesk import (
    CosignRequest,
    MemoryDeposit,
    NarrowRequest,
    read_cosign_request,
    read_grant_request,
    read_narrow_request,
    read_share_deposit,
)
from asepsis.domain.memory import EMPTY, MemoryStep, MemoryUse, MemoryVersion, read_memory_step
from asepsis.domain.names import RunId
from asepsis.errors.contract import AmendmentRefused, DocumentMalformed
from asepsis.errors.desk import (
    BudgetExhausted,
    ContractNotSignedHere,
    DeskBusy,
    DeskStopped,
    DeskUnreachable,
    LinkageUnknown,
    MemoryRefused,
    MemoryRolledBack,
    NonceReplayed,
    RequestMalformed,
    RoomNotPinned,
)
from asepsis.errors.ledger import RollbackDetected
from asepsis.keydesk.limits import Limits
from asepsis.keydesk.server import VERBS, DeskServer, Door
from asepsis.keys.certificates import Authority
from asepsis.ports import Desk
from asepsis.sealing.agreement import verify_agreement
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.memory import memory_id, receipt_payload
from asepsis.sealing.signing import Purpose, sign, verify

LOOPBACK = "127.0.0.1"
ENDED = (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)


@dataclass
class Site:
    """A desk that answers on loopback, and the certificates around it."""

    world: World
    authority: Authority
    address: DeskAddress
    server: DeskServer


@contextmanager
def site(home: Path, limits: Limits = Limits()) -> Iterator[Site]:  # noqa: B008 - frozen
    world = World(home / "world")
    authority = Authority(home / "certificates", now=datetime.now(UTC))
    desk, room = authority.issue("northgate", hosts=[LOOPBACK]), authority.issue("room")
    door = Door(certificate=desk.certificate, key=desk.key, authority=desk.authority, room=room.pin(), limits=limits)
    server = DeskServer(world.desks[NORTH], NORTH, door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = DeskAddress(
        host=LOOPBACK,
        port=server.port,
        pin=desk.pin(),
        certificate=room.certificate,
        key=room.key,
        authority=room.authority,
    )
    try:
        yield Site(world=world, authority=authority, address=address, server=server)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as one:
        yield one


@pytest.fixture(params=["in process", "mTLS"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[World, Desk]]:
    """A world, and the desk of Northgate as the room reaches it."""
    with site(tmp_path) as one:
        yield one.world, one.world.desks[NORTH] if request.param == "in process" else RemoteDesk(NORTH, one.address)


def test_a_grant_opens_for_its_runtime_alone(pair: tuple[World, Desk]) -> None:
    world, desk = pair
    runtime = Runtime()
    grant = desk.grant(world.request(runtime=runtime, nonce=desk.nonce()))
    opened = runtime.open(grant)
    share = opened.pop(memory_id(world.digest))
    assert opened == {name: world.deks[name] for name in opened}
    assert opened
    assert len(share) == 32


def test_a_refusal_comes_back_as_the_error_that_it_is(pair: tuple[World, Desk]) -> None:
    world, desk = pair
    request = world.request(nonce=desk.nonce())
    desk.grant(request)
    with pytest.raises(NonceReplayed) as caught:
        desk.grant(request)
    assert caught.value.names == {"owner": NORTH}
    with pytest.raises(ContractNotSignedHere):
        desk.grant(replace(world.request(), contract={**world.document, "title": "Another"}))
    with pytest.raises(RequestMalformed):
        desk.grant(replace(world.request(), job={"run": 1}))
    world.desks[NORTH].stop("now")
    with pytest.raises(DeskStopped):
        desk.grant(world.request())


def test_the_budget_is_the_same_through_every_door(pair: tuple[World, Desk]) -> None:
    world, desk = pair
    for number in range(3):
        desk.grant(world.request(job=world.job(run=f"run-{number}")))
    with pytest.raises(BudgetExhausted) as caught:
        desk.grant(world.request(job=world.job(run="run-4")))
    assert caught.value.kind.exit_code == 6


def memory_step(world: World, runtime: Runtime, *, root: str) -> MemoryDeposit:
    """What the runtime of the first run leaves: version 1 of the memory of releases."""
    step = MemoryStep(
        run=RunId("run-1"),
        contract=world.digest,
        lineage=world.digest,
        job=digest(world.job().to_document()),
        use=MemoryUse(before=EMPTY, after=MemoryVersion(number=1, root=root, size=65536)),
    )
    payload = canonical(step.to_document())
    signature = sign(runtime.signing.private, purpose=Purpose.MEMORY, payload=payload)
    return MemoryDeposit(step=step.to_document(), signature=signature)


def test_a_new_memory_gets_the_owner_s_receipt_through_every_door(pair: tuple[World, Desk]) -> None:
    world, desk = pair
    runtime, stranger = Runtime(), Runtime()
    with pytest.raises(MemoryRefused):
        desk.remember(memory_step(world, runtime, root="a" * 64))
    desk.grant(world.request(runtime=runtime))
    with pytest.raises(MemoryRefused):
        desk.remember(memory_step(world, stranger, root="a" * 64))
    deposit = memory_step(world, runtime, root="a" * 64)
    receipt = desk.remember(deposit)
    payload = receipt_payload(read_memory_step(deposit.step))
    verify(desk.public().signing, purpose=Purpose.RECEIPT, payload=payload, signature=receipt)
    assert desk.remember(deposit) == receipt
    with pytest.raises(MemoryRolledBack):
        desk.remember(memory_step(world, runtime, root="b" * 64))


def test_growth_is_cosigned_and_a_rollback_is_not(pair: tuple[World, Desk]) -> None:
    world, desk = pair
    old = desk.seen_size()
    world.ledger.grow(4)
    line = desk.cosign(world.ledger.note(), proof=world.ledger.proof(old), room_key=world.ledger.verifier)
    assert line.startswith("— northgate ")
    assert desk.seen_size() == old + 4
    with pytest.raises(RollbackDetected):
        desk.cosign(world.ledger.note(old), proof=[])


def test_a_share_is_kept_and_a_strangers_is_refused(pair: tuple[World, Desk]) -> None:
    world, desk = pair
    runtime, job = Runtime(), world.job(AnalysisKind.LINKAGE, run="link-1")
    desk.grant(world.request(job=job, runtime=runtime))
    shares = dict.fromkeys(world.desks, bytes(32))
    deposit = world.deposit(NORTH, job=job, runtime=runtime, manifest=world.link_manifest(), shares=shares)
    assert desk.deposit_share(deposit) == desk.deposit_share(deposit)
    with pytest.raises(LinkageUnknown):
        desk.deposit_share(replace(deposit, signature=bytes(64)))


def test_an_amendment_that_only_narrows_is_confirmed(pair: tuple[World, Desk]) -> None:
    world, desk = pair
    amends = {"contract": world.digest, "lineage": world.digest}
    document = {**world.document, "amends": amends, "retention_days": 1}
    wanted = {SOUTH: world.desks[SOUTH].sign_contract(document, before=world.signatures)}
    request = NarrowRequest(contract=document, signatures=wanted, before=world.signatures)
    assert verify_agreement(document, {**wanted, NORTH: desk.narrow(request)}).contract.retention_days == 1
    with pytest.raises(AmendmentRefused, match="retention_days"):
        desk.narrow(replace(request, contract={**document, "retention_days": 366}))


def test_the_public_keys_are_the_owners(pair: tuple[World, Desk]) -> None:
    world, desk = pair
    assert desk.public() == world.keys[NORTH].public()


def test_every_request_has_one_document_form(tmp_path: Path) -> None:
    world = World(tmp_path)
    request = world.request()
    assert read_grant_request(json.loads(json.dumps(request.to_document()))).to_document() == request.to_document()
    shares = dict.fromkeys(world.desks, bytes(32))
    deposit = world.deposit(NORTH, job=world.job(), runtime=Runtime(), manifest=world.link_manifest(), shares=shares)
    assert read_share_deposit(json.loads(json.dumps(deposit.to_document()))) == deposit
    cosign = CosignRequest(note="n", proof=[bytes(32)], room_key="k")
    assert read_cosign_request(cosign.to_document()) == cosign
    narrow = NarrowRequest(contract={"version": 1}, signatures={NORTH: bytes(64)}, before={})
    assert read_narrow_request(json.loads(json.dumps(narrow.to_document()))) == narrow
    for read, document in (
        (read_grant_request, request.to_document()),
        (read_narrow_request, narrow.to_document()),
        (read_share_deposit, deposit.to_document()),
        (read_cosign_request, cosign.to_document()),
    ):
        with pytest.raises(DocumentMalformed):
            read({**document, "more": 1})
        for name in document:
            with pytest.raises(DocumentMalformed):
                read({key: value for key, value in document.items() if key != name} | {"other": 1})


def test_only_the_pinned_room_is_served(served: Site) -> None:
    other = served.authority.issue("other-room")
    stranger = RemoteDesk(NORTH, replace(served.address, certificate=other.certificate, key=other.key))
    with pytest.raises(RoomNotPinned):
        stranger.nonce()
    assert "nonce.issued" not in served.world.acts()


def test_a_client_of_another_authority_or_without_a_certificate_gets_no_answer(served: Site, tmp_path: Path) -> None:
    foreign = Authority(tmp_path / "foreign", now=datetime.now(UTC)).issue("room")
    with pytest.raises(DeskUnreachable):
        RemoteDesk(NORTH, replace(served.address, certificate=foreign.certificate, key=foreign.key)).nonce()
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.load_verify_locations(served.address.authority)
    connection = http.client.HTTPSConnection(LOOPBACK, served.address.port, timeout=300, context=bare)
    with pytest.raises(ENDED):  # noqa: PT012 - in TLS 1.3 the refusal comes with the first answer
        connection.request("POST", "/v1/nonce", b"{}")
        connection.getresponse()
    connection.close()
    assert "nonce.issued" not in served.world.acts()


def test_another_desk_with_a_valid_certificate_is_not_believed(served: Site) -> None:
    with pytest.raises(DeskUnreachable):
        RemoteDesk(NORTH, replace(served.address, pin="0" * 64)).nonce()


def test_older_versions_of_the_protocol_are_not_spoken(served: Site) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(served.address.authority)
    old.load_cert_chain(served.address.certificate, served.address.key)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((LOOPBACK, served.address.port), timeout=300) as plain,
        pytest.raises(ENDED),
        old.wrap_socket(plain, server_hostname=LOOPBACK),
    ):
        pass


def post(served: Site, path: str, body: bytes) -> tuple[int, dict[str, object]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(served.address.authority)
    context.load_cert_chain(served.address.certificate, served.address.key)
    connection = http.client.HTTPSConnection(LOOPBACK, served.address.port, timeout=300, context=context)
    connection.request("POST", path, body)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/nonce", b""),
        ("/v1/nonce", b"[]"),
        ("/v1/nonce", b'{"more": 1}'),
        ("/v1/nonce", b'{"a": 1, "a": 2}'),
        ("/v1/nonce", b"\xff\xfe"),
        ("/v1/grant", b"{}"),
        ("/v1/cosign", b"[" * 100_000),
        ("/v1/stop", b"{}"),
        ("/v1/register", b"{}"),
        ("/nonce", b"{}"),
        ("/v1/../v1/nonce", b"{}"),
    ],
)
def test_what_is_no_request_is_refused_without_repeating_it(served: Site, path: str, body: bytes) -> None:
    status, content = post(served, path, body)
    assert (status, content["code"]) == (422, "desk.request_malformed")
    assert served.world.acts().count("nonce.issued") == 0


def test_a_room_has_no_address_for_what_the_owner_does() -> None:
    asked = {"nonce", "grant", "deposit", "remember", "narrow", "cosign", "seen", "public", "commit", "show", "close"}
    assert set(VERBS) == asked


def test_a_silent_client_keeps_nobody_waiting(served: Site) -> None:
    with socket.create_connection((LOOPBACK, served.address.port)):
        assert len(RemoteDesk(NORTH, served.address).nonce()) == 32


def test_a_desk_that_is_gone_is_named(served: Site) -> None:
    desk: Callable[[], bytes] = RemoteDesk(NORTH, replace(served.address, port=1)).nonce
    with pytest.raises(DeskUnreachable, match="northgate"):
        desk()


def test_keys_of_certificates_are_for_their_owner_alone(served: Site) -> None:
    assert served.address.key.stat().st_mode & 0o077 == 0


def test_a_room_that_asks_too_much_is_told_so(tmp_path: Path) -> None:
    with site(tmp_path, Limits(per_second=0.001, burst=2)) as one:
        desk = RemoteDesk(NORTH, one.address)
        assert desk.seen_size() == desk.seen_size()
        with pytest.raises(DeskBusy, match="northgate"):
            desk.nonce()
        assert one.world.acts().count("nonce.issued") == 0


def test_more_connections_than_one_address_may_have_are_hung_up_on(tmp_path: Path) -> None:
    with site(tmp_path, Limits(per_address=2)) as one:
        place = (LOOPBACK, one.server.port)
        with socket.create_connection(place) as silent, socket.create_connection(place):
            with pytest.raises(DeskUnreachable):
                RemoteDesk(NORTH, one.address).nonce()
            silent.close()
            assert eventually(RemoteDesk(NORTH, one.address).nonce)


def test_a_client_that_sends_slowly_is_hung_up_on(tmp_path: Path) -> None:
    """Every single byte comes in time, the whole request does not."""
    with site(tmp_path, Limits(lasting=0.3)) as one:
        raw = socket.create_connection((LOOPBACK, one.server.port), timeout=300)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(one.address.authority)
        context.load_cert_chain(one.address.certificate, one.address.key)
        # On a busy machine the handshake alone may last too long.
        with pytest.raises(ENDED), context.wrap_socket(raw, server_hostname=LOOPBACK) as slow:  # noqa: PT012
            for byte in b"POST /v1/nonce HTTP/1.1\r\nContent-Length: 9\r\n" * 9:
                slow.sendall(bytes([byte]))
                time.sleep(0.02)
        assert one.server.drain(60)
        assert "nonce.issued" not in one.world.acts()


def test_a_request_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with site(tmp_path, Limits(request_bytes=100)) as one:
        assert post(one, "/v1/nonce", b"{}" + b" " * 99)[0] == 422
        assert post(one, "/v1/nonce", b"{}" + b" " * 98)[0] == 200


def eventually(call: Callable[[], bytes]) -> bytes:
    """What a call gives once the server has noticed that a connection ended."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(DeskUnreachable):
            return call()
        time.sleep(0.02)
    return call()
