"""The one run of a runtime: order in, evidence out, grants in, step of the memory out, receipts in, statistic out.

Errors leave as code and public names; nothing else of an exception, and no traceback, ever reaches the room. What the
data had a part in, an error too, leaves on a grid of time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.names import PartyId
from asepsis.errors import AsepsisError
from asepsis.runtime.frames import read_frame, write_frame
from asepsis.runtime.grid import Grid
from asepsis.runtime.identity import RuntimeIdentity
from asepsis.runtime.order import read_order
from asepsis.runtime.private import paid_accounts
from asepsis.runtime.remembering import require_receipts, step_of
from asepsis.runtime.vault import Vault
from asepsis.runtime.work import work
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose


def serve(requests: BinaryIO, answers: BinaryIO, *, clock: Callable[[], datetime], grid: Grid) -> int:
    """Serve one order; returns the exit code of the process."""
    try:
        _serve(requests, answers, clock, grid)
    except AsepsisError as error:
        write_frame(answers, {"type": "error", "code": error.code, "names": dict(error.names)})
        return error.kind.exit_code
    except Exception:  # noqa: BLE001 - whatever it says may quote data, so only the fact leaves
        write_frame(answers, {"type": "error", "code": AsepsisError.code, "names": {}})
        return AsepsisError.kind.exit_code
    return 0


def _serve(requests: BinaryIO, answers: BinaryIO, clock: Callable[[], datetime], grid: Grid) -> None:
    order = read_order(_expect(read_frame(requests), "order"), now=clock())
    identity = RuntimeIdentity()
    evidence = identity.evidence(order)
    write_frame(
        answers, {"type": "evidence", "evidence": {owner: item.to_document() for owner, item in evidence.items()}}
    )
    grants = Fields(_expect(read_frame(requests), "grants"), document="grants")
    given = grants.items("grants")
    keys = identity.keys(order, evidence=evidence, grants=given, now=clock())
    grants.close()
    accounts = paid_accounts(order, given)
    with grid.step(), Vault(keys) as vault:
        found = work(order, vault, now=clock(), accounts=accounts)
    step = step_of(order, found)
    if step is not None:
        document = step.to_document()
        signature = identity.sign(canonical(document), purpose=Purpose.MEMORY)
        write_frame(answers, {"type": "memory", "step": document, "signature": encode_bytes(signature)})
        require_receipts(order, step, receipts=_receipts(_expect(read_frame(requests), "receipts")))
    statistic = found.to_document()
    write_frame(
        answers,
        {
            "type": "statistic",
            "statistic": statistic,
            "signature": encode_bytes(identity.sign(canonical(statistic))),
        },
    )


def _receipts(document: Document) -> dict[PartyId, bytes]:
    fields = Fields(document, document="receipts")
    with fields.mapping("receipts") as raw:
        receipts = {PartyId(name): raw.octets(name, length=64) for name in raw.names()}
    fields.close()
    return receipts


def _expect(frame: Document, kind: str) -> Document:
    fields = Fields(frame, document=kind)
    if fields.text("type") != kind:
        raise fields.malformed("type", f"'{kind}' is expected here")
    return {name: value for name, value in frame.items() if name != "type"}
