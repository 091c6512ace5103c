"""What can go wrong with keys, signatures, sealed files and manifests.

Everything here refuses the whole thing: no error says which byte, key or field of a secret was wrong, so
that an attacker who sends many damaged objects learns nothing from the answers.
"""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class DocumentNotCanonical(AsepsisError):
    """A document has no canonical form: a type outside JSON, or a number that JSON cannot carry exactly."""

    kind = Kind.INVALID
    code = "sealing.document_not_canonical"
    message = "The document cannot be put into canonical form."
    hint = "Use text keys, text, true/false, null, lists and whole numbers up to 2^53 - 1."


class KeyMalformed(AsepsisError):
    """A key has the wrong length or is no point of its curve."""

    kind = Kind.INVALID
    code = "sealing.key_malformed"
    message = "The {role} key is not a valid 32-byte key."
    hint = "Check that the right key file was given; make a new key with `asepsis keydesk init`."


class SignatureInvalid(AsepsisError):
    """A signature was not made by this key, over this content, for this purpose."""

    kind = Kind.UNTRUSTED
    code = "sealing.signature_invalid"
    message = "The signature of the {purpose} does not verify."
    hint = "The content was changed after signing, or another key signed it; ask the signer for the original."


class ContainerForged(AsepsisError):
    """A sealed file is damaged, truncated, reordered, or was sealed with another key or in another context."""

    kind = Kind.UNTRUSTED
    code = "sealing.container_forged"
    message = "A sealed file does not open: it is not what its owner sealed for this place."
    hint = "Discard what was unsealed; fetch the sealed file again, or contribute the snapshot again."


class RootMismatch(AsepsisError):
    """The bytes of a sealed file do not have the root that its owner signed in the manifest."""

    kind = Kind.UNTRUSTED
    code = "sealing.root_mismatch"
    message = "The sealed file {file} is not the one its owner signed."
    hint = "The stored file was damaged or exchanged; fetch it again, or contribute the snapshot again."


class KeyUnwrapRefused(AsepsisError):
    """A wrapped key does not open with this owner key and this binding."""

    kind = Kind.UNTRUSTED
    code = "sealing.key_unwrap_refused"
    message = "The wrapped data key does not open."
    hint = "It was wrapped by another owner key, for another snapshot, or was shredded with its owner key."


class EnvelopeRefused(AsepsisError):
    """An envelope does not open with this private key and this context."""

    kind = Kind.UNTRUSTED
    code = "sealing.envelope_refused"
    message = "The sealed envelope does not open."
    hint = "It was sealed to another key or for another purpose; ask the sender to seal it again."


class ManifestMalformed(AsepsisError):
    """A manifest does not follow its closed schema; ``place`` is the name of the field of the schema."""

    kind = Kind.INVALID
    code = "sealing.manifest_malformed"
    message = "The manifest is not well formed at {place}."
    hint = "Only manifests written by `asepsis contribute` of this version are read; contribute again."


class LinksNotEndorsed(AsepsisError):
    """A link map lacks the endorsement of an owner."""

    kind = Kind.UNTRUSTED
    code = "sealing.links_not_endorsed"
    message = "The link map is not endorsed by {owner}."
    hint = "The room's files may have been changed; link again, and verify the ledger."
