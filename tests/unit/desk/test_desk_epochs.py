"""Epochs at the desks: one link key for all owners and nobody else, tokens for one run, and an end of both."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from desk_world import HOST, KEYED, NORTH, NOW, OWNERS, SOUTH, Runtime, World

from asepsis.domain.analysis import Analysis, AnalysisKind, Job
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.epoch import Commitment, EpochName, ShowRequest
from asepsis.domain.erasure import Clause, KeyKind
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.snapshot import Manifest
from asepsis.errors import AsepsisError
from asepsis.errors.contract import ContractSuperseded
from asepsis.errors.desk import DeskStopped, HoldingRefused, InputRefused, SnapshotNotOurs
from asepsis.errors.keys import KeyDestroyed
from asepsis.errors.linkage import (
    EpochReplayed,
    EpochsNotKeyed,
    EpochUnknown,
    LinkCommitmentRefused,
    LinkShareMissing,
    LinkShareRefused,
)
from asepsis.errors.sealing import EnvelopeRefused
from asepsis.linkage.key import LinkKey, commitment
from asepsis.sealing.agreement import contract_digest
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.epochs import commitment_payload, epoch_share_binding, shown_info, tokens_origin
from asepsis.sealing.signing import Purpose

TOKENS = f"{NORTH}-tokens"


@dataclass
class Keyed:
    """Two desks under a contract that links by keyed tokens, and the room between them."""

    world: World
    commitments: dict[int, dict[PartyId, Commitment]] = field(default_factory=dict)
    shown: dict[int, dict[PartyId, Mapping[PartyId, bytes]]] = field(default_factory=dict)

    def name(self, number: int = 1) -> EpochName:
        return EpochName(contract=self.world.digest, number=number)

    def commit(self, number: int = 1) -> None:
        self.commitments[number] = {owner: desk.commit(self.name(number)) for owner, desk in self.world.desks.items()}

    def request(self, number: int = 1, **others: Commitment) -> ShowRequest:
        return ShowRequest(epoch=self.name(number), commitments={**self.commitments[number], **others})  # type: ignore[dict-item]

    def agree(self, number: int = 1) -> None:
        self.commit(number)
        self.shown[number] = {owner: desk.show(self.request(number)) for owner, desk in self.world.desks.items()}

    def key(self, owner: PartyId = NORTH, number: int = 1, **others: bytes) -> LinkKey:
        shares = {sender: sealed[owner] for sender, sealed in self.shown[number].items() if owner in sealed}
        return self.world.desks[owner].link_key(self.name(number), shares={**shares, **others})  # type: ignore[dict-item]

    def tokens(self, number: int = 1, *, snapshot: str = "tokens-1", owner: PartyId = NORTH) -> Manifest:
        origin = tokens_origin(self.name(number), identities=Digest("0" * 64))
        manifest = replace(self.world.manifest(f"{owner}-tokens", owner, snapshot=snapshot), origin=origin)
        self.world.desks[owner].keep_tokens(self.world.signed_manifest(manifest), dek=secrets.token_bytes(32))
        self.world.manifests[f"{owner}-tokens"] = manifest
        return manifest

    def job(self, number: int = 1, *, run: str = "link-1") -> Job:
        analysis = Analysis(kind=AnalysisKind.LINKAGE, author=HOST, arguments={"epoch": number})
        return self.world.job(AnalysisKind.LINKAGE, run=run, analysis=analysis)

    def grant(self, job: Job | None = None) -> None:
        self.world.desks[NORTH].grant(self.world.request(job=job or self.job()))


@pytest.fixture
def keyed(tmp_path: Path) -> Keyed:
    return Keyed(World(tmp_path, **KEYED))


def test_all_owners_make_the_same_key_and_every_epoch_another(keyed: Keyed) -> None:
    seen = set()
    for number in (1, 2):
        keyed.agree(number)
        keys = [keyed.key(owner, number) for owner in OWNERS]
        assert keys[0] == keys[1]
        seen.add(keys[0].secret)
    assert len(seen) == 2


def test_nothing_that_the_room_carries_tells_the_key(keyed: Keyed) -> None:
    keyed.agree()
    secret = keyed.key().secret
    carried = [one.value + one.signature for one in keyed.commitments[1].values()]
    carried += [sealed for of_one in keyed.shown[1].values() for sealed in of_one.values()]
    with keyed.world.states[NORTH].reading() as records:
        (kept,) = records.epochs()
    share = keyed.world.keys[NORTH].unwrap(kept.wrapped, binding=epoch_share_binding(NORTH, epoch=keyed.name()))
    database = (keyed.world.home / f"{NORTH}-desk.db").read_bytes()
    for hidden in (secret, share):
        assert not [one for one in [*carried, kept.wrapped, database] if hidden in one]


def test_asked_again_a_desk_says_the_same(keyed: Keyed) -> None:
    keyed.agree()
    first, key = keyed.commitments[1], keyed.key()
    keyed.agree()
    assert (keyed.commitments[1], keyed.key()) == (first, key)
    assert keyed.world.acts().count("link.committed") == keyed.world.acts().count("link.shown") == 1


def test_no_share_is_shown_before_all_have_committed_under_their_own_signatures(keyed: Keyed) -> None:
    """Guard: ``verify_commitments``. A share that is seen too early lets its receiver choose a share to fit."""
    keyed.commit()
    desk, south = keyed.world.desks[NORTH], keyed.commitments[1][SOUTH]
    lonely = ShowRequest(epoch=keyed.name(), commitments={NORTH: keyed.commitments[1][NORTH]})
    forged = replace(south, value=secrets.token_bytes(32))
    of_another_epoch = keyed.world.desks[SOUTH].commit(keyed.name(2))
    stranger = ShowRequest(epoch=keyed.name(), commitments={**keyed.commitments[1], HOST: south})
    for request in (lonely, stranger, keyed.request(**{SOUTH: forged}), keyed.request(**{SOUTH: of_another_epoch})):
        with pytest.raises(LinkCommitmentRefused):
            desk.show(request)
    assert "link.shown" not in keyed.world.acts()


def signed_by(world: World, owner: PartyId, share: bytes, *, epoch: EpochName) -> Commitment:
    """A commitment that an owner could have made."""
    value = commitment(share, owner=owner, contract=epoch.contract, epoch=epoch.number)
    payload = commitment_payload(epoch, owner=owner, value=value)
    return Commitment(value=value, signature=world.keys[owner].sign(Purpose.LINK_COMMITMENT, payload))


@pytest.mark.parametrize("owner", OWNERS)
def test_a_desk_shows_its_share_under_one_set_of_commitments_and_never_under_another(
    keyed: Keyed, owner: PartyId
) -> None:
    """Guards: the comparison with the own commitment, and with those that were agreed on."""
    keyed.commit()
    other = signed_by(keyed.world, owner, secrets.token_bytes(32), epoch=keyed.name())
    if owner == SOUTH:  # of its own commitment a desk is sure before that
        keyed.agree()
    with pytest.raises(LinkCommitmentRefused) as refused:
        keyed.world.desks[NORTH].show(keyed.request(**{owner: other}))
    assert refused.value.names["owner"] == owner


def test_a_shown_share_is_bound_to_its_whole_place(keyed: Keyed) -> None:
    keyed.commit()
    place = {"sender": NORTH, "receiver": SOUTH, "commitments": keyed.commitments[1]}
    others = {"sender": SOUTH, "receiver": NORTH, "commitments": {NORTH: keyed.commitments[1][NORTH]}}
    infos = {shown_info(keyed.name(), **{**place, key: other}) for key, other in others.items()}  # type: ignore[arg-type]
    infos |= {shown_info(keyed.name(number), **place) for number in (1, 2)}  # type: ignore[arg-type]
    assert len(infos) == 5


def test_a_share_that_its_owner_did_not_commit_to_makes_no_key(keyed: Keyed) -> None:
    """The room, or South itself, sends another one than it bound itself to."""
    keyed.agree()
    info = shown_info(keyed.name(), sender=SOUTH, receiver=NORTH, commitments=keyed.commitments[1])
    wrong = seal_to(keyed.world.keys[NORTH].public().sealing, secrets.token_bytes(32), info=info)
    with pytest.raises(LinkShareRefused):
        keyed.key(**{SOUTH: wrong})
    with pytest.raises(LinkShareMissing):
        keyed.world.desks[NORTH].link_key(keyed.name(), shares={})


def test_a_share_of_another_epoch_or_for_another_owner_opens_nowhere(keyed: Keyed) -> None:
    keyed.agree(1)
    old = keyed.shown[1][SOUTH][NORTH]
    keyed.agree(2)
    for moved in (old, keyed.shown[2][NORTH][SOUTH]):
        with pytest.raises(EnvelopeRefused):
            keyed.key(number=2, **{SOUTH: moved})


def test_an_epoch_that_is_over_never_comes_again(keyed: Keyed) -> None:
    """Guard: the comparison of numbers in ``commit``, and ``is_over``."""
    keyed.agree(1)
    keyed.agree(2)
    desk = keyed.world.desks[NORTH]
    desk.close(keyed.name(2))
    for number in (1, 2):
        for attempt in (
            lambda number=number: desk.commit(keyed.name(number)),
            lambda number=number: desk.show(keyed.request(number)),
            lambda number=number: keyed.key(number=number),
            lambda number=number: keyed.tokens(number),
        ):
            with pytest.raises(EpochReplayed):
                attempt()
    keyed.commit(5)
    with pytest.raises(EpochReplayed):
        desk.commit(keyed.name(4))


def test_a_new_epoch_ends_the_one_before_it_at_every_desk(keyed: Keyed) -> None:
    keyed.agree(1)
    manifest = keyed.tokens(1)
    keyed.commit(2)
    with pytest.raises(KeyDestroyed):
        keyed.world.desks[NORTH].own_key(manifest)
    assert [one.erasure.clause for one in keyed.world.desks[NORTH].close(keyed.name(1))] == [Clause.EPOCH]


def test_there_is_no_key_before_the_own_share_was_shown(keyed: Keyed) -> None:
    keyed.commit()
    keyed.shown[1] = {}
    with pytest.raises(EpochUnknown):
        keyed.key()
    with pytest.raises(EpochUnknown):
        keyed.world.desks[NORTH].show(replace(keyed.request(), epoch=keyed.name(9)))


def refuses(keyed: Keyed, job: Job, error: type[AsepsisError] = InputRefused) -> None:
    with pytest.raises(error):
        keyed.grant(job)


def test_the_tokens_of_an_epoch_are_for_one_run_of_it(keyed: Keyed) -> None:
    """Guards: ``check_tokens`` and ``bind_tokens``. The same run may ask again, as after a kill."""
    keyed.agree()
    keyed.tokens()
    refuses(keyed, keyed.job(number=2))
    refuses(keyed, keyed.world.job(AnalysisKind.LINKAGE, run="link-1"))
    keyed.grant(keyed.job(run="link-1"))
    keyed.grant(keyed.job(run="link-1"))
    refuses(keyed, keyed.job(run="link-2"))
    with pytest.raises(EpochReplayed):
        keyed.tokens(snapshot="tokens-2")


def test_tokens_are_read_by_linkages_alone(keyed: Keyed) -> None:
    keyed.agree()
    keyed.tokens()
    inputs = tuple(keyed.world.input(f"{owner}-tokens") for owner in OWNERS)
    refuses(keyed, keyed.world.job(AnalysisKind.QUERY, inputs=inputs), HoldingRefused)
    both = (*inputs, keyed.world.input(f"{NORTH}-clinical"))
    refuses(keyed, replace(keyed.job(), inputs=both), HoldingRefused)


def test_tokens_that_belong_to_no_epoch_are_granted_to_nobody(keyed: Keyed) -> None:
    """The world has registered a snapshot of that dataset like any other; only the newest of an epoch count."""
    keyed.agree()
    refuses(keyed, keyed.job())
    first = keyed.tokens(snapshot="tokens-1")
    keyed.tokens(snapshot="tokens-2")
    keyed.grant(keyed.job())
    keyed.world.manifests[TOKENS] = first
    refuses(keyed, keyed.job())


def test_a_desk_keeps_no_tokens_that_are_none(keyed: Keyed) -> None:
    keyed.agree()
    manifest = keyed.world.manifest(TOKENS, NORTH, snapshot="tokens-9")
    with pytest.raises(SnapshotNotOurs):
        keyed.world.desks[NORTH].keep_tokens(keyed.world.signed_manifest(manifest), dek=bytes(32))
    with pytest.raises(EpochUnknown):
        keyed.tokens(number=7)


def test_when_an_epoch_is_over_share_and_tokens_are_destroyed_and_both_are_on_record(keyed: Keyed) -> None:
    """Also tokens that were made twice; and nothing is granted any more."""
    keyed.agree()
    made = [keyed.tokens(snapshot=name) for name in ("tokens-1", "tokens-2")]
    keyed.grant()
    desk = keyed.world.desks[NORTH]
    (signed,) = desk.close(keyed.name())
    assert (signed.erasure.clause, signed.erasure.contract) == (Clause.EPOCH, keyed.world.digest)
    kinds = [key.kind for key in signed.erasure.keys]
    assert (kinds.count(KeyKind.SHARE), kinds.count(KeyKind.SNAPSHOT)) == (1, 2)
    assert signed.erasure.leases_until > NOW
    for manifest in made:
        with pytest.raises(KeyDestroyed):
            desk.own_key(manifest)
    with keyed.world.states[NORTH].reading() as records:
        assert [one.wrapped for one in records.epochs()] == [b""]
    assert keyed.world.acts()[-5:] == ["erasure.intended", *["key.shredded"] * 3, "contract.erased"]
    refuses(keyed, keyed.job())
    assert desk.close(keyed.name()) == (signed,)
    with pytest.raises(EpochUnknown):
        desk.close(keyed.name(5))


def test_a_copy_of_the_database_opens_no_share_of_an_epoch_that_is_over(keyed: Keyed) -> None:
    keyed.agree()
    with keyed.world.states[NORTH].reading() as records:
        (kept,) = records.epochs()
    keyed.world.desks[NORTH].close(keyed.name())
    with pytest.raises(KeyDestroyed):
        keyed.world.keys[NORTH].unwrap(kept.wrapped, binding=epoch_share_binding(NORTH, epoch=keyed.name()))


def test_an_open_epoch_goes_with_its_contract(keyed: Keyed) -> None:
    keyed.agree()
    desk = keyed.world.desks[NORTH]
    desk.end(keyed.world.digest)
    (signed,) = desk.erase(keyed.world.digest)
    assert (signed.erasure.clause, signed.erasure.ids(KeyKind.SHARE) != []) == (Clause.ENDED, True)
    with pytest.raises(EpochReplayed):
        keyed.key()


def test_a_link_map_stays_while_the_clinical_data_stay(keyed: Keyed) -> None:
    """Guard: what ``_due_links`` looks at. The identifiers behind it are not under the contract, but at home."""
    keyed.agree()
    keyed.tokens()
    runtime, job = Runtime(), keyed.job()
    keyed.world.desks[NORTH].grant(keyed.world.request(job=job, runtime=runtime))
    shares = {owner: secrets.token_bytes(32) for owner in OWNERS}
    deposit = keyed.world.deposit(NORTH, job=job, runtime=runtime, manifest=keyed.world.link_manifest(), shares=shares)
    keyed.world.desks[NORTH].deposit_share(deposit)
    keyed.world.desks[NORTH].close(keyed.name())
    assert [one.erasure.clause for one in keyed.world.desks[NORTH].erase(keyed.world.digest)] == [Clause.EPOCH]


def test_a_contract_goes_on_by_an_amendment_after_an_epoch(keyed: Keyed) -> None:
    """Its own epochs begin anew; those of the version before are over."""
    keyed.agree()
    keyed.world.desks[NORTH].close(keyed.name())
    amends = {"contract": keyed.world.digest, "lineage": keyed.world.digest}
    document = {**keyed.world.document, "title": "Rarer diseases", "amends": amends}
    keyed.world.desks[NORTH].sign_contract(document)
    newer = contract_digest(read_contract(document))
    assert keyed.world.desks[NORTH].commit(EpochName(contract=newer, number=1)).value
    with pytest.raises(ContractSuperseded):
        keyed.world.desks[NORTH].commit(keyed.name(2))


def test_the_share_opens_under_a_new_key_of_the_owner(keyed: Keyed) -> None:
    keyed.agree()
    before, desk = keyed.key(), keyed.world.desks[NORTH]
    assert desk.opens_everything(keyed.world.keys[NORTH])
    assert desk.rewrap(keyed.world.keys[NORTH]) == 3  # two snapshots and the share
    assert keyed.key() == before


def test_there_are_no_epochs_where_nothing_is_keyed_or_everything_is_stopped(tmp_path: Path, keyed: Keyed) -> None:
    sealed = World(tmp_path / "sealed")
    with pytest.raises(EpochsNotKeyed):
        sealed.desks[NORTH].commit(EpochName(contract=sealed.digest, number=1))
    keyed.commit()
    keyed.world.desks[NORTH].stop("")
    for attempt in (lambda: keyed.world.desks[NORTH].commit(keyed.name()), keyed.agree):
        with pytest.raises(DeskStopped):
            attempt()
