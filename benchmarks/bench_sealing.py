"""How fast files are sealed and unsealed, as a ratio to plain AES-256-GCM over the same bytes in the same run.

Prints MB/s of CPU time on one core; run it with `python benchmarks/bench_sealing.py [megabytes]`.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from asepsis.sealing.container import CHUNK, generate_data_key, seal, unseal

ROUNDS = 3


def best(work: Callable[[], object]) -> float:
    """Least CPU seconds of a few rounds."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def raw(plaintext: bytes, key: bytes) -> None:
    """AES-256-GCM of the same chunks with a counter nonce, without streams, tree hash or key commitment."""
    cipher, view = AESGCM(key), memoryview(plaintext)
    for index, at in enumerate(range(0, len(plaintext), CHUNK)):
        cipher.encrypt(index.to_bytes(12), view[at : at + CHUNK], None)


def main() -> None:
    """Measure and print."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    plaintext, key = os.urandom(megabytes * 1_000_000), generate_data_key()
    container = io.BytesIO()
    receipt = seal(io.BytesIO(plaintext), container, key=key, context=b"bench")
    sealed = container.getvalue()
    with open(os.devnull, "wb") as sink:  # noqa: PTH123
        baseline = best(lambda: raw(plaintext, key))
        sealing = best(lambda: seal(io.BytesIO(plaintext), sink, key=key, context=b"bench"))
        unsealing = best(lambda: unseal(io.BytesIO(sealed), sink, key=key, context=b"bench"))
        checked = best(lambda: unseal(io.BytesIO(sealed), sink, key=key, context=b"bench", root=receipt.root))
    print(f"{'what':<24}{'MB/s':>8}{'time / raw':>12}")
    for name, seconds in (
        ("AES-256-GCM, raw", baseline),
        ("seal", sealing),
        ("unseal", unsealing),
        ("unseal, root checked", checked),
    ):
        print(f"{name:<24}{megabytes / seconds:>8.0f}{seconds / baseline:>12.2f}")


if __name__ == "__main__":
    main()
