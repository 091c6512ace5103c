"""What an order lets a runtime reach, who may read it there, and what it may leave behind.

The order is read here for its paths and its labels only; whether it is in order is the runtime's own judgement.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from asepsis.domain.documents import Document
from asepsis.engines.confinement.inside import UNPRIVILEGED
from asepsis.engines.confinement.launch import Reach
from asepsis.errors.confinement import OutputRefused

LARGEST_OUTPUT: Final = 8 << 30
"""Bytes of one file that a run leaves."""


def reach_of(order: Document) -> Reach:
    """The folders of the order's snapshots and sealed memory for reading, its output folder for writing."""
    items = order.get("snapshots")
    places = [*(items if isinstance(items, list) else []), order.get("memory")]
    folders = [place.get("folder") for place in places if isinstance(place, dict)]
    output = order.get("output")
    write = (output,) if isinstance(output, str) and Path(output).is_dir() else ()
    return Reach(
        read=tuple(path for path in folders if isinstance(path, str) and path and Path(path).is_dir()), write=write
    )


def runs_unconfined(order: Document) -> bool:
    """Whether the order may run with whatever confinement there is: a contract of level 0 with synthetic data only."""
    contract = order.get("contract")
    if not isinstance(contract, dict):
        return False
    runtime, datasets = contract.get("runtime"), contract.get("datasets")
    if not isinstance(runtime, dict) or not isinstance(datasets, dict):
        return False
    labels = {dataset.get("label") if isinstance(dataset, dict) else None for dataset in datasets.values()}
    return runtime.get("level") == 0 and labels == {"synthetic"}


@contextmanager
def opened(reach: Reach) -> Iterator[None]:
    """While a root's room runs an order, let the runtime's unprivileged user read ciphertext and write its output.

    The folders above stay closed to everybody else; anybody but root changes nothing here.
    """
    if os.geteuid() != 0:
        yield
        return
    for folder in map(Path, reach.read):
        folder.chmod(0o755)
        for file in folder.iterdir():
            file.chmod(0o644, follow_symlinks=not file.is_symlink())
    for name in reach.write:
        os.chown(name, UNPRIVILEGED, UNPRIVILEGED)
    try:
        yield
    finally:
        for name in reach.write:
            with suppress(FileNotFoundError):  # the room moved it away
                _take_back(Path(name))


def check_output(folder: str) -> None:
    """Raise OutputRefused unless a run left nothing but regular files with one name and of bounded length."""
    if not folder or not Path(folder).is_dir():
        return
    for path in Path(folder).iterdir():
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise OutputRefused(what="something that is no regular file")
        if status.st_nlink != 1:
            raise OutputRefused(what="a file with a second name")
        if status.st_size > LARGEST_OUTPUT:
            raise OutputRefused(what="a file that is too large")


def _take_back(folder: Path) -> None:
    os.chown(folder, 0, 0)
    for path in folder.iterdir():
        os.chown(path, 0, 0, follow_symlinks=False)
