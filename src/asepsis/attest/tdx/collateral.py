"""Intel's collateral for a quote, judged by dcap-qvl (optional, extra ``tdx``): revocation, QE identity, TCB status.

The library is given the time; it reaches no network. Its own policy refuses debug TDs and forged or outdated
collateral by raising, and everything it raises is one refusal here.
"""

from __future__ import annotations

import importlib
from datetime import datetime
from typing import Any

from asepsis.errors.attest import CollateralRefused, CollateralUnchecked


def tcb_status(quote: bytes, collateral: bytes, *, at: datetime) -> str:
    """The status that the collateral gives to the platform of the quote, such as ``UpToDate``.

    Raises:
        CollateralUnchecked: dcap-qvl is not installed.
        CollateralRefused: collateral or quote are not genuine or not valid at that time, or no TCB level matches.
    """
    try:
        library: Any = importlib.import_module("dcap_qvl")
    except ImportError:
        raise CollateralUnchecked from None
    try:
        parsed = library.QuoteCollateralV3.from_json(collateral.decode("utf-8"))
        status = library.verify(quote, parsed, int(at.timestamp())).status
    except (ValueError, TypeError, RuntimeError, OverflowError):
        raise CollateralRefused from None
    if not isinstance(status, str):
        raise CollateralRefused
    return status
