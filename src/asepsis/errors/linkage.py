"""What can go wrong while persons are linked across owners.

Identity data is the most sensitive data of the room: these messages name an owner, a column and counts,
and nothing that was read. The text of the reader and of the engine is dropped, since both quote values.
"""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class IdentityUnreadable(AsepsisError):
    """The identity file of an owner is absent or is no Parquet file."""

    kind = Kind.INVALID
    code = "linkage.identity_unreadable"
    message = "The identity dataset of {owner} cannot be read."
    hint = "Contribute the dataset of {owner} again; its identity table must be a whole Parquet file."


class IdentityColumnRefused(AsepsisError):
    """A column of the identity table is absent or has another type than the contract of the table says."""

    kind = Kind.INVALID
    code = "linkage.identity_column_refused"
    message = "The identity dataset of {owner} has no usable column {column}."
    hint = "Map {column} to the identity table with type {expected}; a column without values may be all NULL."


class PersonIdMissing(AsepsisError):
    """Records without the owner's pseudonym cannot be referred to in the link map."""

    kind = Kind.INVALID
    code = "linkage.person_id_missing"
    message = "{count} identity records of {owner} have no person_id."
    hint = "Every record of the identity table needs the pseudonym that the clinical tables of {owner} use."


class LinkageExhausted(AsepsisError):
    """The engine ran out of the memory that the runtime allows; nothing is spilled to disk."""

    kind = Kind.EXHAUSTED
    code = "linkage.memory_exhausted"
    message = "Linking {count} identity records needs more memory than the runtime allows."
    hint = "Raise the memory limit of the runtime, or link fewer datasets in one run."


class LinkageFailed(AsepsisError):
    """The engine or the file system failed for a reason whose text is withheld."""

    kind = Kind.UNAVAILABLE
    code = "linkage.failed"
    message = "Linking failed while it was busy with: {stage}."
    hint = "No link map was written. Run it again; if it fails again, report the code and the stage."


class RandomnessRefused(AsepsisError):
    """The source of randomness returned too few bytes, or the same number again and again."""

    kind = Kind.UNAVAILABLE
    code = "linkage.randomness_refused"
    message = "The source of randomness did not give enough distinct link identifiers."
    hint = "Check the random number generator of the machine; no link map was written."


class LinkShareMissing(AsepsisError):
    """A share of the link key, or the commitment to one, is not there."""

    kind = Kind.MISSING
    code = "linkage.share_missing"
    message = "The link key lacks a committed share of {owner}."
    hint = "Every owner of the contract commits to a share first and then shows it; ask {owner} to do both."


class LinkShareRefused(AsepsisError):
    """A share is malformed, copied from another owner, or not the one committed to."""

    kind = Kind.UNTRUSTED
    code = "linkage.share_refused"
    message = "The share of {owner} is not the one that it committed to."
    hint = "Start a new epoch: every owner draws a new share and commits to it before any share is shown."


class LinkCommitmentRefused(AsepsisError):
    """A commitment to a share is missing, not its owner's, or another one than before."""

    kind = Kind.UNTRUSTED
    code = "linkage.commitment_refused"
    message = "The commitment of {owner} to a share of the link key is not the one that the desk must see."
    hint = "A desk shows its share only under one set of commitments, all signed by their owners; begin a new epoch."


class EpochReplayed(AsepsisError):
    """An epoch is over, or older than one that the desk has taken part in."""

    kind = Kind.CONFLICT
    code = "linkage.epoch_replayed"
    message = "Epoch {number} is over at the key desk of {owner}."
    hint = "A link key is used once; run `asepsis link` again, which begins the next epoch."


class EpochUnknown(AsepsisError):
    """There is no such epoch, or it is not as far as what was asked for needs."""

    kind = Kind.CONFLICT
    code = "linkage.epoch_unknown"
    message = "There is no epoch of linkage in which {owner} could do this now."
    hint = "Run `asepsis link` on the room's side; it begins an epoch and says whose tokens it waits for."


class EpochsNotKeyed(AsepsisError):
    """Epochs and tokens are for contracts whose linkage is keyed."""

    kind = Kind.INVALID
    code = "linkage.not_keyed"
    message = "The contract {contract} does not link by keyed tokens."
    hint = "Tokens are made only under a contract whose clause `linkage` says `mode: keyed`."


class TokensMissing(AsepsisError):
    """Not every owner has given its tokens for the epoch."""

    kind = Kind.MISSING
    code = "linkage.tokens_missing"
    message = "The linkage waits for the tokens of {owners}."
    hint = "At each of them: asepsis link tokens --as OWNER; then here: asepsis link"


class IdentifiersNotAtHome(AsepsisError):
    """The identifiers behind the newest clinical snapshot are not kept at the owner."""

    kind = Kind.MISSING
    code = "linkage.identifiers_not_at_home"
    message = "The identifiers of {dataset} are not kept at {owner}."
    hint = "Let it run `asepsis contribute` again; unless told to send them, it keeps them at home. Then: asepsis link"


class IdentifiersNotInRoom(AsepsisError):
    """The contract links by identifiers in the room, and those of an owner are not there."""

    kind = Kind.MISSING
    code = "linkage.identifiers_not_in_room"
    message = "The identifiers of {owner} are not in the room, and the contract links by them."
    hint = "Let it run `asepsis contribute` again, under the contract in force: that seals them into the room."


class IdentifiersStayHome(AsepsisError):
    """An owner would send identifiers that the contract in force keeps out of the room."""

    kind = Kind.CONFLICT
    code = "linkage.identifiers_stay_home"
    message = "Under the contract {contract} no identifier enters the room."
    hint = "Leave out --send-identifiers; patients are linked by what each owner makes of its identifiers at home."


class TokensNotComparable(AsepsisError):
    """Two token tables were made by different rules, epochs or keys, so that equality would mean nothing."""

    kind = Kind.CONFLICT
    code = "linkage.tokens_not_comparable"
    message = "The tokens of {owner} and of {other} differ in their {what}."
    hint = "Tokenise again at {owner} with the version, epoch and link key that the contract names."


class TokensUnreadable(AsepsisError):
    """A token table is absent, damaged, or lacks a column."""

    kind = Kind.INVALID
    code = "linkage.tokens_unreadable"
    message = "The token table of {owner} cannot be read."
    hint = "Contribute the tokens of {owner} again."


class OneOwnerOnly(AsepsisError):
    """Linking needs two owners, or one that asked for its own duplicates."""

    kind = Kind.INVALID
    code = "linkage.one_owner_only"
    message = "There are records of {count} owners; linking needs two with records."
    hint = "Contribute the identity data of the other owners first; an empty table is not a partner."


class RuleProfileUnknown(AsepsisError):
    """The contract names a rule profile that this version does not have."""

    kind = Kind.INVALID
    code = "linkage.rule_profile_unknown"
    message = "There is no linkage rule profile {profile}."
    hint = "Use one of: {known}."


class ListsDrawn(AsepsisError):
    """A linkage asks for review lists, and others were drawn under a version of the contract."""

    kind = Kind.CONFLICT
    code = "linkage.lists_drawn"
    message = "Review lists of this contract were granted at the key desk of {owner} to another linkage."
    hint = "Lists are drawn once: from several lists of an owner it could be told who is on them for a reason."


class ListMissing(AsepsisError):
    """No linkage drew a review list for this owner."""

    kind = Kind.MISSING
    code = "linkage.list_missing"
    message = "There is no review list for {owner}."
    hint = "Lists are drawn by the next `asepsis link` under a contract whose clause `linkage` says `review`."


class WorksheetRefused(AsepsisError):
    """A worksheet of answers cannot be read; nothing of what stands in it is repeated."""

    kind = Kind.INVALID
    code = "linkage.worksheet_refused"
    message = "Line {line} of the worksheet cannot be used: {problem}."
    hint = "Nothing was changed. Correct the line, or have the worksheet written again without --answers."


class FiltersNotAsked(AsepsisError):
    """Filters were given, and the contract links by something else."""

    kind = Kind.CONFLICT
    code = "linkage.filters_not_asked"
    message = "The contract '{contract}' does not link by imported filters."
    hint = (
        "Filters are for contracts with the clause linkage, mode import-clk; the other modes are safer and find more."
    )


class FilterRefused(AsepsisError):
    """Imported bit arrays are malformed or not comparable with each other."""

    kind = Kind.INVALID
    code = "linkage.filter_refused"
    message = "The imported filters of {owner} cannot be used: {what}."
    hint = "All owners must export filters of one schema: the same length in bits, one per record, no empty ones."
