"""A person's sealed identifiers open for that person's key, owner and number, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.names import PartyId
from asepsis.errors.sealing import EnvelopeRefused
from asepsis.sealing.person_records import KEY_BYTES, open_record, seal_record

KEY, OWNER, PERSON = bytes(range(KEY_BYTES)), PartyId("northgate"), 2**60
RECORD = b'[{"family_name": "Abbott"}]'


def test_a_record_opens_for_its_key_and_its_length_says_next_to_nothing() -> None:
    sealed = seal_record(RECORD, key=KEY, owner=OWNER, person=PERSON)
    assert open_record(sealed, key=KEY, owner=OWNER, person=PERSON).rstrip() == RECORD
    assert len(sealed) == len(seal_record(b"[]", key=KEY, owner=OWNER, person=PERSON))
    assert b"Abbott" not in sealed


@pytest.mark.parametrize("changed", [{"key": bytes(KEY_BYTES)}, {"owner": PartyId("riverside")}, {"person": 2}])
def test_a_record_opens_for_no_other_key_owner_or_person(changed: dict[str, object]) -> None:
    sealed = seal_record(RECORD, key=KEY, owner=OWNER, person=PERSON)
    with pytest.raises(EnvelopeRefused):
        open_record(sealed, **{"key": KEY, "owner": OWNER, "person": PERSON, **changed})  # type: ignore[arg-type]


@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_flipped_bit_of_a_record_is_refused(place: int, bit: int) -> None:
    sealed = bytearray(seal_record(RECORD, key=KEY, owner=OWNER, person=PERSON))
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(EnvelopeRefused):
        open_record(bytes(sealed), key=KEY, owner=OWNER, person=PERSON)
