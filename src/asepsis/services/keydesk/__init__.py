"""The key desk of one owner: it holds the keys, counts the budget, witnesses the ledger, and says yes or no per run."""

from asepsis.domain.keydesk import GrantRequest, ShareDeposit

__all__ = ["GrantRequest", "ShareDeposit"]
