"""The seven steps of the story (DESIGN §2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.bundles import verify_release_bundle
from asepsis.bootstrap.collecting import collect_referral
from asepsis.bootstrap.mappings import harmoniser, mapping_of
from asepsis.bootstrap.room import Room, now
from asepsis.cli.report import table
from asepsis.cli.results import findings_text, released_text
from asepsis.cli.steps import end_steps, step_line
from asepsis.cli.story.account import Account
from asepsis.cli.story.agreement import LABORATORY, NORTHGATE, RIVERSIDE, TEAMS, enrol_everybody, write_contract
from asepsis.cli.story.inspection import identifiers, search
from asepsis.domain.analysis import Analysis, AnalysisKind, Argument
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.names import PartyId, RestorePointId
from asepsis.domain.source import Verdict
from asepsis.ports import Source
from asepsis.services.analyses import Answer
from asepsis.services.audit import ledger_keys, verify_export
from asepsis.services.looking import last_clean
from asepsis.yaml_files import read_yaml

GAUCHER_COUNT: Final = (
    "SELECT count(DISTINCT person_id) AS persons FROM condition_occurrence WHERE condition_concept_id = 2000000026"
)
GAUCHER_COHORT: Final = "SELECT DISTINCT person_id FROM condition_occurrence WHERE condition_concept_id = 2000000026"
COMMON: Final = 40481087
SHARED_IN_TRUTH: Final = 90
GAUCHER_IN_TRUTH: Final = 17
PASSWORD: Final = "northgate-demo"  # noqa: S105 - the documented password of the bundled, synthetic backup


@dataclass(slots=True)
class Story:
    """One telling: a new room in a folder, the bundled examples, and the account."""

    room: Room
    examples: Path
    account: Account

    def tell(self) -> None:
        """All seven steps."""
        point = self.find_clean_backup()
        self.contribute(point)
        self.sign()
        self.link()
        self.ask()
        self.refer()
        self.verify()

    def find_clean_backup(self) -> RestorePointId:
        """Step 1: Northgate's newest backup was hit; which one can be trusted?"""
        self.account.step(1, "Northgate opens its backups and looks for the last clean one")
        history = last_clean(self._northgate())
        rows = [
            [verdict.point.taken_at.date(), verdict.point.id[:8], verdict.verdict.value, _why(verdict.signals)]
            for verdict in history.points
        ]
        self.account.happened(table(["taken", "restore point", "verdict", "signals"], rows))
        chosen = next(v.point for v in history.points if v.point.id == history.last_clean)
        hit = sum(v.verdict is Verdict.COMPROMISED for v in history.points)
        self.account.happened(
            f"{hit} of {len(history.points)} restore points was hit by ransomware; the last clean one is of "
            f"{chosen.taken_at.date()}. {history.objects_read} different objects were read once, nothing was written."
        )
        self.account.saw(NORTHGATE, "its own backup; nobody else saw anything")
        self.account.fact("last_clean", chosen.taken_at.date().isoformat())
        return chosen.id

    def contribute(self, point: RestorePointId) -> None:
        """Step 2: both hospitals harmonise and seal; names and addresses stay where they are."""
        self.account.step(2, "Both hospitals contribute: every record is accounted for, then sealed")
        enrol_everybody(self.room)
        riverside = look_into(f"tar:{self.examples / 'two_hospitals' / 'riverside'}")
        self._contribute(NORTHGATE, self._northgate(), point)
        self._contribute(RIVERSIDE, riverside, riverside.restore_points()[-1].id)
        sealed = list((self.room.folder / "host" / "snapshots").rglob("*.sealed"))
        size = sum(path.stat().st_size for path in sealed)
        self.account.happened("Names, numbers and addresses stay in each hospital's own home, sealed.")
        self.account.host(f"{len(sealed)} sealed files ({size:,} bytes), row counts and digests; it holds no key")

    def sign(self) -> None:
        """Step 3: one contract, everybody's signature."""
        self.account.step(3, "All parties sign one contract")
        path = self.room.folder / "room.yaml"
        document = write_contract(self.room, path, now=now())
        self.room.contracts.propose(document)
        state = self.room.contracts.status()
        for party in state.waiting_for:
            signature = self.room.sign_contract(party, document)
            state = self.room.contracts.sign(party, signature=signature)
        self.account.happened(
            f"{path.name}: {state.status.value}, signed by {len(state.signed_by)} parties; digest {state.digest[:16]}…"
        )
        self.account.happened(
            "The runtime is at level 0: NON-CONFIDENTIAL. The host could read its memory while it computes; the desks"
            "\ngrant keys at this level only because the data are labelled synthetic."
        )
        self.account.fact("contract", state.digest)

    def link(self) -> None:
        """Step 4: the same patient in two hospitals."""
        self.account.step(4, "Linkage finds the patients whom both hospitals know")
        statistic = self.room.link(progress=step_line)
        end_steps()
        self.account.happened(
            "The two key desks agreed on a key that the room never had, each hospital made keyed tokens of its\n"
            "identifiers at home, and the runtime compared tokens. Key and tokens are destroyed by now."
        )
        shown = {} if statistic.table is None else {str(row[0]): row[1] for row in statistic.table.rows}
        self.account.happened(
            f"protected counts: {shown.get('records')} records, {shown.get('persons')} persons, "
            f"{shown.get('persons_in_several_owners')} of them known to both hospitals"
        )
        self.account.happened(
            f"The data are synthetic: {SHARED_IN_TRUTH} persons really are in both hospitals.\nWhom the "
            "linkage misses counts once per hospital, and who is linked with whom is shown to nobody."
        )
        self.account.host(
            "a sealed link map that opens only when both hospitals grant; no identifier, no token, no key"
        )
        self.account.fact("linkage", shown)

    def ask(self) -> None:
        """Step 5: two questions, a refusal, and a version that passes."""
        self.account.step(5, "The researcher asks")
        self.account.happened(f"How many people live with Gaucher disease?\n  {GAUCHER_COUNT}")
        answer = self._query(GAUCHER_COUNT)
        self._show(answer)
        self.account.happened(f"(In truth {GAUCHER_IN_TRUTH} distinct persons; strict-10 rounds to multiples of 5.)")
        self.account.fact("gaucher", None if answer.table is None else answer.table.rows[0][0])
        self.account.fact("gaucher_release", None if answer.release is None else answer.release.id)
        self.account.happened("\nHow do patients fare after a common diagnosis (viral sinus infection)?")
        curve = self._ask(AnalysisKind.METHOD, "kaplan_meier", {"condition_concept_ids": COMMON, "step_days": 364})
        self._show(curve, most_rows=14)
        self.account.fact("survival_rows", 0 if curve.table is None else len(curve.table.rows))
        self.account.happened("\nA query that would single out one person:")
        refused = self._query(GAUCHER_COUNT + " AND person_id = 4242")
        self.account.happened(findings_text(refused.assessment))
        self.account.happened(f"this would pass: {refused.rewrite}")
        self.account.fact("refused", [finding.code for finding in refused.assessment.findings])
        if refused.rewrite:
            again = self._query(refused.rewrite)
            self.account.happened(
                f"it does: {again.release.id if again.release else ''}"
                f"{' (the same question as before: the same release, free of charge)' if again.repeated else ''}"
            )
            self.account.fact("rewrite_released", again.released)
        self.account.saw(LABORATORY, "protected tables and reasons; no row, no identifier, no small count")

    def refer(self) -> None:
        """Step 6: follow-up through the patients' own hospitals."""
        self.account.step(6, "Follow-up: rows go to the clinical team of the patients' own hospital")
        referral = self.room.referrals.request(
            LABORATORY, cohort=GAUCHER_COHORT, reason="invite to enzyme therapy review"
        )
        for owner in (NORTHGATE, RIVERSIDE):
            self.room.approve_referral(referral.id, owner=owner)
        delivered = self.room.referrals.deliver(referral.id, progress=step_line)
        end_steps()
        opened = {team: collect_referral(self.room, referral.id, team=team) for team in TEAMS}
        for team, collected in opened.items():
            self.account.saw(team, f"the rows and names of {collected.patients} patients of {TEAMS[team]}")
        self.account.happened(
            "Names never were in the room: the packages brought keys to these patients in the hospital's own register."
        )
        self.account.saw(LABORATORY, f"'{delivered.status.value}', and not how many")
        needles = identifiers(collected.path for collected in opened.values())
        files, hits = search(self.room.folder / "host", needles)
        self.account.host(
            f"two padded, sealed packages. {files} of its files searched for {len(needles)} identifiers: {hits} found"
        )
        self.account.fact("referred", {str(TEAMS[team]): collected.patients for team, collected in opened.items()})
        self.account.fact("host_hits", hits)

    def verify(self) -> None:
        """Step 7: the record, offline."""
        self.account.step(7, "The record verifies, offline and with public keys only")
        contract = read_contract(read_yaml(self.room.folder / "room.yaml"))
        export = self.room.folder / "ledger.jsonl"
        export.write_bytes(self.room.audit.export())
        report = verify_export(export.read_bytes(), ledger_keys(contract))
        witnesses = ", ".join(sorted({cosignature.witness for cosignature in report.witnesses}))
        self.account.happened(f"ledger: {report.size} entries, root {report.root.hex()[:16]}…, cosigned by {witnesses}")
        release = self.account.facts["gaucher_release"]
        bundle = self.room.folder / "releases" / f"{release}.json"
        bundle.parent.mkdir(exist_ok=True)
        bundle.write_text(json.dumps(self.room.evidences.bundle(release), indent=1, sort_keys=True))  # type: ignore[arg-type]
        verified = verify_release_bundle(json.loads(bundle.read_text()), contract=self.room.contracts.status().digest)
        self.account.happened(
            f"{verified.release}: contract, manifests, evidence, {len(verified.owners)} grants, statistic and ledger "
            f"entry {verified.position} verify"
        )
        self.account.fact("ledger_entries", report.size)
        self.account.fact("bundle", str(bundle))

    def _northgate(self) -> Source:
        repository = self.examples / "two_hospitals" / "northgate" / "restic-repository"
        return look_into(f"restic:{repository}", secret=lambda: PASSWORD)

    def _contribute(self, owner: PartyId, source: Source, point: RestorePointId) -> None:
        mapping = mapping_of(self.examples / "mappings" / owner)
        contribution = self.room.contribute(owner).contribute(
            source,
            point,
            mapping=mapping,
            harmonise=harmoniser(mapping, self.room.keys(owner)),
            progress=lambda stage, subject, done: step_line(f"{owner}: {stage} {subject}", done),
        )
        end_steps()
        totals = [
            [
                file.path.strip("/"),
                file.landed,
                file.accepted,
                file.merged,
                file.quarantined,
                file.excluded,
                file.header + file.context + file.residue,
            ]
            for file in contribution.books.files
        ]
        names = [owner, "landed", "accepted", "merged", "quarantined", "excluded", "other"]
        self.account.happened(table(names, totals) + "\nthe books balance: nothing was dropped")
        self.account.fact(f"{owner}_landed", sum(file.landed for file in contribution.books.files))

    def _query(self, sql: str) -> Answer:
        return self._ask(AnalysisKind.QUERY, sql, {})

    def _ask(self, kind: AnalysisKind, body: str, arguments: dict[str, Argument | tuple[Argument, ...]]) -> Answer:
        analysis = Analysis(kind=kind, author=LABORATORY, body=body, arguments=arguments)
        answer = self.room.analyses.ask(analysis, progress=step_line)
        end_steps()
        return answer

    def _show(self, answer: Answer, *, most_rows: int = 20) -> None:
        text = released_text(answer.table).splitlines()
        rest = len(text) - most_rows
        self.account.happened("\n".join(text[:most_rows] + ([f"… {rest} more lines"] if rest > 0 else [])))
        if answer.release is not None:
            self.account.happened(f"{answer.release.id}: {answer.release.status.value}")


def _why(signals: object) -> str:
    names = [f"{signal.code.removeprefix('signal.')} {signal.count}" for signal in signals]  # type: ignore[attr-defined]
    return ", ".join(names[:3])
