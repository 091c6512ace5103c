"""A contract in words: what each party gives, gets and can stop."""

from __future__ import annotations

from asepsis.domain.contract import Contract, Party, Role


def contract_in_words(contract: Contract) -> dict[str, list[str]]:
    """For every party, sentences about what the contract means for it."""
    return {party.id: _sentences(party, contract) for party in contract.parties}


def _sentences(party: Party, contract: Contract) -> list[str]:
    lines = [f"{party.name} takes part as {', '.join(sorted(role.value for role in party.roles))}."]
    if Role.OWNER in party.roles:
        names = ", ".join(dataset.name for dataset in contract.datasets_of(party.id))
        lines.append(f"Gives {names}; the keys stay at its own key desk.")
        lines.append(f"Its desk grants at most {contract.budgets[party.id]} runs, and can stop everything alone.")
        automatic = party.id in contract.automatic_release
        lines.append(
            "Outputs that pass every check are released automatically."
            if automatic
            else "Every output waits until a person has decided on it."
        )
    if Role.RESEARCHER in party.roles:
        kinds = (["queries"] if contract.queries else []) + [f"the method {name}" for name in contract.methods]
        lines.append(f"May ask {', '.join(kinds)}; sees results protected under {contract.profile}, never a row.")
    if Role.CLINICIAN in party.roles and contract.referrals:
        lines.append(f"Receives rows of {party.team_of}'s own patients by referral, after every owner approved.")
    if Role.HOST in party.roles:
        lines.append("Runs the room and signs its ledger; holds no data key.")
    lines.append(f"Signs until {contract.valid_until:%Y-%m-%d}, for: {contract.purpose}")
    return lines
