"""Analyses and jobs: what somebody wants to have computed, and the exact work that the desks grant keys for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId

Argument = int | float | str | bool


class AnalysisKind(StrEnum):
    """The kinds of work that the runtime does."""

    QUERY = "query"
    METHOD = "method"
    LINKAGE = "linkage"
    REFERRAL = "referral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """One question. ``body`` is the SQL text of a query or referral, or the name of a method.

    ``buys_bounds``: a query that is answered with noise pays for bounds of what one person counts for. ``purpose`` is
    the name of one of the contract's purposes, where it has several. ``certainty`` is how sure the links between
    owners must be at least, in per cent; 0 is what the contract says.
    """

    kind: AnalysisKind
    author: PartyId
    body: str = ""
    arguments: Mapping[str, Argument | tuple[Argument, ...]]
    buys_bounds: bool = False
    purpose: str = ""
    certainty: int = 0

    def to_document(self) -> Document:
        """The document whose canonical digest identifies the analysis."""
        arguments = {
            name: list(value) if isinstance(value, tuple) else value for name, value in sorted(self.arguments.items())
        }
        bounds: Document = {"buys_bounds": True} if self.buys_bounds else {}
        purpose: Document = {"purpose": self.purpose} if self.purpose else {}
        certainty: Document = {"certainty": self.certainty} if self.certainty else {}
        return {
            "kind": self.kind.value,
            "author": self.author,
            "body": self.body,
            "arguments": arguments,
            **bounds,
            **purpose,
            **certainty,
        }


def read_analysis(value: object) -> Analysis:
    """Read an analysis. Raises DocumentMalformed."""
    fields = Fields(value, document="analysis")
    arguments = read_arguments(fields.anything("arguments"), document="analysis")
    analysis = Analysis(
        kind=fields.choice("kind", AnalysisKind),
        author=PartyId(fields.name("author")),
        body=fields.text("body", default=""),
        arguments=arguments,
        buys_bounds=fields.flag("buys_bounds", default=False),
        purpose=fields.name("purpose") if fields.has("purpose") else "",
        certainty=fields.integer("certainty", default=0),
    )
    fields.close()
    return analysis


def read_arguments(value: object, *, document: str) -> dict[str, Argument | tuple[Argument, ...]]:
    """Read the arguments of an analysis: plain values and lists of them. Raises DocumentMalformed."""
    fields = Fields(value, document=document, place="arguments")
    return {name: _read_argument(fields, name) for name in fields.names()}


def _read_argument(fields: Fields, name: str) -> Argument | tuple[Argument, ...]:
    value = fields.anything(name)
    if isinstance(value, int | float | str | bool):
        return value
    if isinstance(value, list) and all(isinstance(item, int | float | str | bool) for item in value):
        return tuple(value)
    raise fields.malformed(name, "an argument is a number, a text, a flag or a list of them")


def scalars(arguments: Mapping[str, Argument | tuple[Argument, ...]]) -> dict[str, Argument]:
    """The arguments of a query. Lists are left out, so that a text that names one is refused."""
    return {name: value for name, value in arguments.items() if not isinstance(value, tuple)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInput:
    """A snapshot that a job reads, pinned by the digest of its signed manifest."""

    owner: PartyId
    dataset: str
    snapshot: SnapshotId
    manifest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The exact work of one run. Its digest is what evidence is bound to and what a desk grants keys for.

    The ledger checkpoint is bound beside it (see ``attestation.Binding``), so that a run that was interrupted
    goes on as the same job, and is charged once, under a newer checkpoint.
    """

    run: RunId
    contract: Digest
    analysis: Analysis
    inputs: tuple[SnapshotInput, ...]
    approvals: tuple[Digest, ...] = ()

    def to_document(self) -> Document:
        """The document whose canonical digest the evidence and the grants name."""
        return {
            "run": self.run,
            "contract": self.contract,
            "analysis": self.analysis.to_document(),
            "inputs": [
                {"owner": item.owner, "dataset": item.dataset, "snapshot": item.snapshot, "manifest": item.manifest}
                for item in self.inputs
            ],
            "approvals": list(self.approvals),
        }


def read_job(value: object) -> Job:
    """Read a job. Raises DocumentMalformed."""
    fields = Fields(value, document="job")
    job = Job(
        run=RunId(fields.text("run")),
        contract=Digest(fields.text("contract")),
        analysis=read_analysis(fields.anything("analysis")),
        inputs=tuple(_read_input(item) for item in fields.items("inputs")),
        approvals=tuple(Digest(digest) for digest in fields.texts("approvals", default=())),
    )
    fields.close()
    return job


def _read_input(value: object) -> SnapshotInput:
    fields = Fields(value, document="job")
    item = SnapshotInput(
        owner=PartyId(fields.name("owner")),
        dataset=fields.text("dataset"),
        snapshot=SnapshotId(fields.text("snapshot")),
        manifest=Digest(fields.text("manifest")),
    )
    fields.close()
    return item
