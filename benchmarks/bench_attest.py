"""How long evidence takes to verify: p50 and p95 of each verifier, as a ratio to bare signature checks in the same run.

The baseline of a kind is the signature that nobody can leave out: for SEV-SNP and Nitro one ECDSA P-384 check over
the report, for TDX one on P-256. "Cold" forgets all certificates before each round; "warm" has read the chain before,
as a desk has that sees the same machine again. Times are CPU time of the thread, which is what a round takes on a
machine that does nothing else; wall-clock time on a shared machine measures its neighbours. The reports are made up
by the tests, and the public vectors where the shared material is there (ASEPSIS_SHARED).

Run: python benchmarks/bench_attest.py [rounds]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "unit" / "attest")]

import attest_vectors as vectors  # noqa: E402
from attest_world import NITRO, NOW, SNP, TDX, TPM  # noqa: E402

from asepsis.attest.certificates import read_certificate  # noqa: E402
from asepsis.attest.nitro.verify import verify_nitro  # noqa: E402
from asepsis.attest.signatures import _load  # noqa: E402
from asepsis.attest.snp.verify import verify_snp  # noqa: E402
from asepsis.attest.tdx.verify import verify_tdx  # noqa: E402
from asepsis.attest.tpm.verify import verify_tpm  # noqa: E402

ROUNDS = 100
TARGETS = {"SEV-SNP": 5.0, "TDX": 5.0, "Nitro": 20.0}


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    p384, p256 = bare(ec.SECP384R1(), hashes.SHA384()), bare(ec.SECP256R1(), hashes.SHA256())
    for name, baseline, work in cases(p384, p256):
        base = timed(baseline, rounds)
        for state, prepare in (("cold", forget), ("warm", nothing)):
            times = timed(work, rounds, prepare)
            target = next((limit for kind, limit in TARGETS.items() if name.startswith(kind)), None)
            verdict = "" if target is None else f"  target p95 {target:.0f} ms"
            print(
                f"{name:24} {state}  p50 {p(times, 50):6.2f} ms  p95 {p(times, 95):6.2f} ms"
                f"  bare check p50 {p(base, 50):5.2f} p95 {p(base, 95):5.2f} ms"
                f"  ratio {p(times, 50) / p(base, 50):5.1f}{verdict}"
            )


def cases(
    p384: Callable[[], object], p256: Callable[[], object]
) -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    """Name, baseline and work of each case."""
    report, certificates = SNP.report(), SNP.certificates()
    quote, document, tpm, key = TDX.quote(), NITRO.document(), TPM.quote(), TPM.key()
    found: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("SEV-SNP made up", p384, lambda: verify_snp(report, certificates, at=NOW, roots=SNP.roots)),
        ("TDX made up", p256, lambda: verify_tdx(quote, at=NOW, roots=TDX.roots)),
        ("Nitro made up", p384, lambda: verify_nitro(document, at=NOW, roots=NITRO.roots)),
        ("TPM 2.0 made up", p256, lambda: verify_tpm(tpm, key)),
    ]
    folder = (ROOT / os.environ.get("ASEPSIS_SHARED", "../shared")).resolve() / "data" / "attestation"
    if folder.is_dir():
        found += public(folder, p384, p256)
    return found


def public(
    folder: Path, p384: Callable[[], object], p256: Callable[[], object]
) -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    """The public vectors of real hardware."""
    snp, azure = vectors.snp(folder, "trustee"), vectors.snp(folder, "azure-2")
    quote, nitro = vectors.tdx(folder, "phala_tdx_quote"), vectors.nitro(folder, vectors.NITRO_GOOD)
    at = vectors.GOOD_TDX["phala_tdx_quote"]
    collateral = (folder / "tdx" / "phala_tdx_quote_collateral.json").read_bytes()
    checked = [("TDX with collateral", p256, lambda: verify_tdx(quote, at=at, collateral=collateral))]
    if find_spec("dcap_qvl") is None:
        print("TDX with collateral: not measured, the extra tdx is not installed")
        checked.clear()
    return [
        ("SEV-SNP Milan", p384, lambda: verify_snp(snp.report, snp.certificates, at=snp.at)),
        (
            "SEV-SNP Azure endorsed",
            p384,
            lambda: verify_snp(azure.report, azure.certificates, at=azure.at, launch=azure.launch),
        ),
        ("TDX", p256, lambda: verify_tdx(quote, at=at)),
        *checked,
        ("Nitro", p384, lambda: verify_nitro(nitro, at=vectors.NITRO_TIME)),
    ]


def bare(curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> Callable[[], object]:
    """One ECDSA check of the library over 672 bytes."""
    key, data = ec.generate_private_key(curve), bytes(672)
    signature, public_key, algorithm = key.sign(data, ec.ECDSA(digest)), key.public_key(), ec.ECDSA(digest)
    return lambda: public_key.verify(signature, data, algorithm)


def timed(work: Callable[[], object], rounds: int, prepare: Callable[[], None] | None = None) -> list[float]:
    """Milliseconds of each round."""
    times = []
    for _ in range(rounds):
        if prepare is not None:
            prepare()
        start = time.thread_time()
        work()
        times.append((time.thread_time() - start) * 1e3)
    return times


def p(times: list[float], percent: int) -> float:
    """A percentile."""
    return statistics.quantiles(times, n=100)[percent - 1]


def forget() -> None:
    """Forget every certificate and key that was read."""
    read_certificate.cache_clear()
    _load.cache_clear()


def nothing() -> None:
    """Keep what was read."""


if __name__ == "__main__":
    main()
