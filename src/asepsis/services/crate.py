"""A verified release as a Five Safes RO-Crate: a BagIt bag in a ZIP file, for repositories and other environments.

The crate tells in the words of the profile what the evidence bundle proves, and carries the bundle itself: whoever
has the crate can verify the release with ``asepsis release verify``. Everything in it comes from a bundle that was
verified, so that equal bundles are equal crates, byte for byte. Persons are not named in the room; the profile's
requesting person is told as one of their party.
Sources: https://w3id.org/5s-crate/0.4, https://w3id.org/ro/crate/1.3, RFC 8493 (BagIt 1.0).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.documents import Document, encode_time
from asepsis.domain.ledger import Act
from asepsis.domain.release import Released
from asepsis.errors.room import BundleForged
from asepsis.services.evidence import VerifiedRelease

EVIDENCE: Final = "evidence.json"

_RO_CRATE: Final = "https://w3id.org/ro/crate/1.3"
_FIVE_SAFES: Final = "https://w3id.org/5s-crate/0.4"
_WORKFLOW_CRATE: Final = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_SAFE_HAVEN: Final = "https://w3id.org/shp#"
_COMPLETED: Final = "http://schema.org/CompletedActionStatus"
_METADATA: Final = "ro-crate-metadata.json"
_PAYLOAD: Final = "data/"
_TABLE: Final = "outputs/table.csv"
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""The date of every file in the ZIP: it cannot say less, and nothing is to depend on when it was written."""

Entity = dict[str, object]

_SQL: Final[Entity] = {
    "@id": "#language",
    "@type": "ComputerLanguage",
    "name": "SQL",
    "url": "https://www.iso.org/standard/76583.html",
    "version": "ISO/IEC 9075:2023",
}
_JSON: Final[Entity] = {
    "@id": "#language",
    "@type": "ComputerLanguage",
    "name": "JSON",
    "url": "https://www.rfc-editor.org/rfc/rfc8259",
    "version": "RFC 8259",
}


def write_crate(bundle: Document, verified: VerifiedRelease) -> bytes:
    """The crate of a bundle that verified, as one ZIP file with the bag in a folder of the release's name."""
    payload = _payload(bundle, verified)
    bag = {f"{_PAYLOAD}{name}": content for name, content in payload.items()} | {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": _bag_info(payload, verified).encode(),
    }
    bag["manifest-sha512.txt"] = _checksums({name: bag[name] for name in bag if name.startswith(_PAYLOAD)})
    bag["tagmanifest-sha512.txt"] = _checksums({name: bag[name] for name in bag if not name.startswith(_PAYLOAD)})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(bag.items()):
            archive.writestr(zipfile.ZipInfo(f"{verified.release}/{name}", date_time=_EARLIEST), content)
    return file.getvalue()


def read_crate(content: bytes) -> object:
    """The evidence bundle inside of a crate, to be verified. Raises BundleForged."""
    files = _files(content)
    try:
        return json.loads(files[_PAYLOAD + EVIDENCE])
    except (KeyError, ValueError, RecursionError):
        raise BundleForged(what="the crate carries no evidence") from None


def check_crate(content: bytes, bundle: object, verified: VerifiedRelease) -> None:
    """Check that the files of a crate are those of its verified bundle; what describes them is not believed.

    Raises:
        BundleForged: a file was changed, added or left out.
    """
    expected = _payload(bundle, verified)
    payload = {name.removeprefix(_PAYLOAD): data for name, data in _files(content).items() if name.startswith(_PAYLOAD)}
    for files in (expected, payload):
        for name in [name for name in files if name.endswith(_METADATA)]:
            del files[name]
    if payload != expected:
        raise BundleForged(what="the files of the crate are not those of its evidence")


def _files(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
            if len(files) != len(archive.infolist()):
                raise BundleForged(what="the crate has two files of one name")
            return files
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError):
        raise BundleForged(what="the crate is no ZIP file") from None


def _payload(bundle: object, verified: VerifiedRelease) -> dict[str, bytes]:
    files = {
        EVIDENCE: _json(bundle),
        "contract.json": _json(verified.agreement.contract.to_document()),
        **_analysis(verified),
        **_manifests(verified),
    }
    if verified.table is not None:
        files[_TABLE] = _csv(verified.table)
    files[_METADATA] = _json({"@context": f"{_RO_CRATE}/context", "@graph": _graph(verified, sorted(files))})
    return files


def _analysis(verified: VerifiedRelease) -> dict[str, bytes]:
    analysis = verified.job.analysis
    name = _analysis_name(verified)
    content = analysis.body.encode() if analysis.kind is AnalysisKind.QUERY else _json(analysis.to_document())
    return {f"workflow/{name}": content, f"workflow/{_METADATA}": _json(_workflow(verified, name))}


def _analysis_name(verified: VerifiedRelease) -> str:
    return "analysis.sql" if verified.job.analysis.kind is AnalysisKind.QUERY else "analysis.json"


def _manifests(verified: VerifiedRelease) -> dict[str, bytes]:
    """Each input's manifest as its owner signed it."""
    return {f"manifests/{snapshot}.json": document for snapshot, document in verified.manifests.items()}


def _workflow(verified: VerifiedRelease, name: str) -> Entity:
    """A Workflow RO-Crate around the analysis: what was run, without where and on what."""
    main = {
        "@id": name,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "The analysis, as its author wrote it",
        "programmingLanguage": {"@id": "#language"},
        "encodingFormat": _encoding(name),
    }
    graph = [
        _descriptor(),
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Analysis of {verified.release}",
            "description": "The analysis that was run. It is compiled to a plan; its text never reaches an engine.",
            "datePublished": _published(verified),
            "license": "Under the contract of the release",
            "conformsTo": {"@id": _WORKFLOW_CRATE},
            "mainEntity": {"@id": name},
            "hasPart": [{"@id": name}],
        },
        {"@id": _WORKFLOW_CRATE, "@type": "Profile", "name": "Workflow RO-Crate", "version": "1.0"},
        main,
        _SQL if name.endswith(".sql") else _JSON,
    ]
    return {"@context": f"{_RO_CRATE}/context", "@graph": graph}


def _graph(verified: VerifiedRelease, names: list[str]) -> list[Entity]:
    contract = verified.agreement.contract
    members: list[Entity] = [
        {"@id": f"#{party.id}", "@type": "Organization", "name": party.name} for party in contract.parties
    ]
    parts = [name for name in names if not name.startswith("workflow/")]
    actions = _actions(verified)
    return [
        _descriptor(),
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Release {verified.release}",
            "description": f"A released output with its evidence. Purpose: {verified.purpose}",
            "datePublished": _published(verified),
            "license": {"@id": "contract.json"},
            "conformsTo": {"@id": _FIVE_SAFES},
            "publisher": {"@id": "#room"},
            "sourceOrganization": {"@id": "#project"},
            "mainEntity": {"@id": "workflow/"},
            "hasPart": [{"@id": "workflow/"}, *({"@id": name} for name in parts)],
            "mentions": [{"@id": str(action["@id"])} for action in actions],
        },
        {"@id": _FIVE_SAFES, "@type": "Profile", "name": "Five Safes RO-Crate profile"},
        {
            "@id": "workflow/",
            "@type": "Dataset",
            "name": f"The analysis: a {verified.job.analysis.kind.value}",
            "description": "A Workflow RO-Crate of its own",
            "conformsTo": {"@id": _WORKFLOW_CRATE},
            "identifier": verified.statistic.plan,
            "hasPart": [{"@id": f"workflow/{_analysis_name(verified)}"}],
        },
        {"@id": _WORKFLOW_CRATE, "@type": "Profile", "name": "Workflow RO-Crate", "version": "1.0"},
        _file(f"workflow/{_analysis_name(verified)}"),
        *(_file(name) for name in parts),
        {
            "@id": "#project",
            "@type": "Project",
            "name": contract.title,
            "identifier": verified.contract,
            "member": [{"@id": f"#{party.id}"} for party in contract.parties],
        },
        *members,
        {
            "@id": "#requesting-person",
            "@type": "Person",
            "name": f"Somebody of {contract.party(verified.job.analysis.author).name}; the room names no persons",
            "affiliation": {"@id": f"#{verified.job.analysis.author}"},
            "memberOf": [{"@id": "#project"}],
        },
        {
            "@id": "#runtime",
            "@type": "SoftwareApplication",
            "name": "Asepsis runtime",
            "description": f"Attested at level {verified.level}",
            "version": " ".join(contract.measurements),
            "url": f"urn:asepsis:measurement:{contract.measurements[0]}",
            "provider": {"@id": "#room"},
        },
        *actions,
    ]


def _actions(verified: VerifiedRelease) -> list[Entity]:
    """The run, every owner's sign-off, the disclosure check, and the review where a person decided."""
    steps = {step.entry.act: encode_time(step.entry.at) for step in verified.trail.steps}
    assessment = verified.statistic.assessment
    inputs = [{"@id": name} for name in sorted(_manifests(verified))]
    run: Entity = {
        "@id": f"#{verified.job.run}",
        "@type": "CreateAction",
        "name": f"Run {verified.job.run}",
        "agent": {"@id": "#requesting-person"},
        "instrument": {"@id": "workflow/"},
        "object": inputs,
        "startTime": steps[Act.RUN_STARTED],
        "endTime": steps[Act.RUN_FINISHED],
        "actionStatus": _COMPLETED,
    }
    if verified.table is not None:
        run["result"] = [{"@id": _TABLE}]
    sign_offs = [
        _assess(
            f"#sign-off-{owner}",
            "SignOff",
            name=f"Sign-off of the run by {owner} with its data keys: approved",
            agent=f"#{owner}",
            end=encode_time(verified.grants[owner].granted_at),
        )
        | {"instrument": {"@id": "contract.json"}}
        for owner in verified.owners
    ]
    checks = [
        _assess(
            "#disclosure-check",
            "DisclosureCheck",
            name=f"Disclosure check under {assessment.profile}: {assessment.severity.value}",
            agent="#runtime",
            end=steps[Act.RUN_FINISHED],
        )
    ]
    if verified.reviewed:
        name = f"Review by {verified.decided_by}, signed: approved"
        agent, end = f"#{verified.decided_by}", steps[Act.RELEASE_RELEASED]
        checks.append(_assess("#review", "DisclosureCheck", name=name, agent=agent, end=end))
    return [run, *sign_offs, *checks]


def _assess(identifier: str, kind: str, *, name: str, agent: str, end: str) -> Entity:
    return {
        "@id": identifier,
        "@type": "AssessAction",
        "additionalType": {"@id": f"{_SAFE_HAVEN}{kind}"},
        "name": name,
        "object": [{"@id": "./"}, {"@id": "workflow/"}, {"@id": "#project"}],
        "agent": {"@id": agent},
        "endTime": end,
        "actionStatus": _COMPLETED,
    }


_DESCRIPTIONS: Final = {
    EVIDENCE: "The evidence bundle: verify it with 'asepsis release verify'",
    "contract.json": "The contract that all parties signed; it holds the terms of use",
    _TABLE: "The released table; a suppressed cell is empty",
}


def _file(name: str) -> Entity:
    description = _DESCRIPTIONS.get(name)
    if description is None:
        description = "A manifest of sealed data, as signed" if name.startswith("manifests/") else "The analysis"
    kind: object = ["File", "CreativeWork"] if name == "contract.json" else "File"
    return {"@id": name, "@type": kind, "name": name, "description": description, "encodingFormat": _encoding(name)}


def _descriptor() -> Entity:
    return {
        "@id": _METADATA,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": _RO_CRATE},
    }


def _published(verified: VerifiedRelease) -> str:
    return encode_time(verified.trail.released.entry.at)


def _encoding(name: str) -> str:
    return {"sql": "application/sql", "csv": "text/csv"}.get(name.rpartition(".")[2], "application/json")


def _csv(table: Released) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    return text.getvalue().encode()


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _bag_info(payload: Mapping[str, bytes], verified: VerifiedRelease) -> str:
    octets = sum(len(content) for content in payload.values())
    identity = UUID(bytes=hashlib.sha256(f"{verified.contract}/{verified.release}".encode()).digest()[:16], version=5)
    lines = [
        f"External-Identifier: {identity.urn}",
        f"Bagging-Date: {_published(verified)[:10]}",
        f"Payload-Oxum: {octets}.{len(payload)}",
    ]
    return "\n".join(lines) + "\n"


def _checksums(files: Mapping[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha512(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return "".join(lines).encode()
