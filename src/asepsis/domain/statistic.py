"""Statistics: what a run hands to the room, signed by the runtime that computed it.

A statistic carries a protected table and the assessment that judged it; a linkage adds the manifest of the
sealed link map, one sealed key share per owner, its estimated quality by threshold, and sealed review lists, if it
draws them; a referral adds the sealed packages it wrote; queries and methods name the versions of the memory of
releases before and after. Nothing in it is readable patient data.
"""

from __future__ import annotations

from dataclasses import dataclass

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.finding import Assessment, read_assessment
from asepsis.domain.linkage import LinkEstimate
from asepsis.domain.memory import MemoryUse, read_memory_use
from asepsis.domain.names import Digest, PartyId, RunId
from asepsis.domain.release import Released, read_released
from asepsis.domain.review_list import ReviewList
from asepsis.domain.snapshot import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One owner's share of the link map's data key, sealed (HPKE) to the owner's key."""

    owner: PartyId
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """A sealed link map: its manifest, and the shares without which nobody can open it."""

    manifest: Manifest
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Patient-level rows of one hospital, sealed to its clinical team. ``digest`` is SHA-256 of the sealed bytes."""

    owner: PartyId
    team: PartyId
    file: str
    length: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """The outcome of one run, before anybody decided on its release."""

    run: RunId
    contract: Digest
    job: Digest
    plan: Digest
    assessment: Assessment
    table: Released | None = None
    links: Links | None = None
    packages: tuple[Package, ...] = ()
    memory: MemoryUse | None = None
    estimates: tuple[LinkEstimate, ...] = ()
    reviews: tuple[ReviewList, ...] = ()

    def to_document(self) -> Document:
        """The document that the runtime signs."""
        memory: Document = {} if self.memory is None else {"memory": self.memory.to_document()}
        estimates = [[one.threshold, one.precision, one.recall] for one in self.estimates]
        return {
            "run": self.run,
            "contract": self.contract,
            "job": self.job,
            "plan": self.plan,
            "assessment": self.assessment.to_document(),
            "table": None if self.table is None else self.table.to_document(),
            "links": None if self.links is None else _links_document(self.links),
            "packages": [package_document(package) for package in self.packages],
            **memory,
            **({"estimates": estimates} if estimates else {}),
            **({"reviews": {one.owner: encode_bytes(one.sealed) for one in self.reviews}} if self.reviews else {}),
        }


def read_statistic(value: object) -> Statistic:
    """Read a statistic whose signature has been verified. Raises DocumentMalformed or ManifestMalformed."""
    fields = Fields(value, document="statistic")
    table, links = fields.anything("table"), fields.anything("links")
    statistic = Statistic(
        run=RunId(fields.text("run")),
        contract=Digest(fields.text("contract")),
        job=Digest(fields.text("job")),
        plan=Digest(fields.text("plan")),
        assessment=read_assessment(fields.anything("assessment")),
        table=None if table is None else read_released(table),
        links=None if links is None else _read_links(links),
        packages=tuple(read_package(item) for item in fields.items("packages")),
        memory=read_memory_use(fields.anything("memory")) if fields.has("memory") else None,
        estimates=tuple(_read_estimate(item, fields) for item in fields.items("estimates"))
        if fields.has("estimates")
        else (),
        reviews=_read_reviews(fields) if fields.has("reviews") else (),
    )
    fields.close()
    return statistic


def _read_estimate(item: object, fields: Fields) -> LinkEstimate:
    match item:
        case [float() as threshold, int() | float() as precision, int() | float() as recall]:
            return LinkEstimate(threshold=threshold, precision=precision, recall=recall)
        case _:
            raise fields.malformed("estimates", "an estimate is a threshold, a precision and a recall")


def _read_reviews(fields: Fields) -> tuple[ReviewList, ...]:
    with fields.mapping("reviews") as lists:
        return tuple(ReviewList(owner=PartyId(name), sealed=lists.octets(name)) for name in lists.names())


def _links_document(links: Links) -> Document:
    return {
        "manifest": links.manifest.to_document(),
        "shares": {share.owner: encode_bytes(share.sealed) for share in links.shares},
    }


def _read_links(value: object) -> Links:
    fields = Fields(value, document="statistic", place="links")
    manifest = Manifest.from_document(fields.anything("manifest"))
    with fields.mapping("shares") as raw:
        shares = tuple(Share(owner=PartyId(name), sealed=raw.octets(name)) for name in raw.names())
    fields.close()
    return Links(manifest=manifest, shares=shares)


def package_document(package: Package) -> Document:
    """The document form of a package; :func:`read_package` reads it."""
    return {
        "owner": package.owner,
        "team": package.team,
        "file": package.file,
        "length": package.length,
        "digest": package.digest,
    }


def read_package(value: object) -> Package:
    """Read a package. Raises DocumentMalformed."""
    fields = Fields(value, document="statistic", place="packages")
    package = Package(
        owner=PartyId(fields.name("owner")),
        team=PartyId(fields.name("team")),
        file=fields.text("file"),
        length=fields.integer("length"),
        digest=Digest(fields.text("digest")),
    )
    fields.close()
    return package
