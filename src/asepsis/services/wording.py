"""A contract in words: what each party gives, gets and can stop."""

from __future__ import annotations

from asepsis.disclosure.dp.accounting import reported
from asepsis.domain.contract import Contract
from asepsis.domain.link_terms import LinkTerms
from asepsis.domain.linkage import LinkMode
from asepsis.domain.parties import Party, Role
from asepsis.domain.privacy import Loss


def contract_in_words(contract: Contract) -> dict[str, list[str]]:
    """For every party, sentences about what the contract means for it."""
    return {party.id: _sentences(party, contract) for party in contract.parties}


def _sentences(party: Party, contract: Contract) -> list[str]:
    lines = [f"{party.name} takes part as {', '.join(sorted(role.value for role in party.roles))}."]
    if Role.OWNER in party.roles:
        names = ", ".join(dataset.name for dataset in contract.datasets_of(party.id))
        lines.append(f"Gives {names}; the keys stay at its own key desk.")
        lines += [
            f"Gives free text of {dataset.name}, scrubbed by what identifies each patient, but not anonymous: "
            f"{', '.join(sorted(dataset.free_text))}."
            for dataset in contract.datasets_of(party.id)
            if dataset.free_text
        ]
        lines.append(
            f"They may be used for {contract.retention_days} days after they were sealed; its desk destroys the keys."
        )
        lines.append(f"Its desk grants at most {contract.budgets[party.id]} runs, and can stop everything alone.")
        lines += _linkage(contract)
        lines += _memories(contract)
        lines += _noise(contract)
        automatic = party.id in contract.automatic_release
        lines.append(
            "Outputs that pass every check are released automatically."
            if automatic
            else "Every output waits until a person has decided on it."
        )
    if Role.RESEARCHER in party.roles:
        kinds = (["queries"] if contract.queries else []) + [f"the method {name}" for name in contract.methods]
        kinds += [f"the template {one.name} ({one.title}; {one.digest[:16]})" for one in contract.templates]
        lines.append(f"May ask {', '.join(kinds)}; sees results protected under {contract.profile}, never a row.")
        lines += [f"May state the purpose {name}: {text}" for name, text in sorted(contract.purposes.items())]
        lines += _certainties(contract)
        lines.append(_quotas(contract))
        lines += _noise(contract)
    lines += _continuity(party, contract)
    if Role.CLINICIAN in party.roles and contract.referrals:
        lines.append(f"Receives rows of {party.team_of}'s own patients by referral, after every owner approved.")
    if Role.HOST in party.roles:
        lines.append("Runs the room and signs its ledger; holds no data key.")
    lines.append(f"Signs until {contract.valid_until:%Y-%m-%d}, for: {contract.purpose}")
    lines.append(f"Signs that this allows it: {contract.legal_basis}. Nothing runs before all {_everybody(contract)}.")
    return lines


def _continuity(party: Party, contract: Contract) -> list[str]:
    """What the clause ``continuity`` means for an owner, the lead and the clinical teams."""
    terms = contract.continuity
    if terms is None:
        return []
    lines = []
    names = ", ".join(one.name for one in terms.analyses)
    if Role.OWNER in party.roles:
        lines.append(f"When production is down, {terms.lead} may run on last-known-good data: {names}.")
    if party.id == terms.lead:
        lines.append(f"Runs {names} when production is down, and signs the pack.")
    if terms.essentials is not None and party.roles & {Role.OWNER, Role.CLINICIAN}:
        lists = ", ".join(sorted(terms.essentials.lists))
        lines.append(
            f"Then {lists} of a hospital's own patients go sealed to its clinical team, if every owner approved."
        )
    return lines


def _everybody(contract: Contract) -> str:
    """Who signs: every party, also each amendment."""
    return f"{len(contract.parties)} parties have signed: {', '.join(party.id for party in contract.parties)}"


def _linkage(contract: Contract) -> list[str]:
    """What the clause ``linkage`` means for an owner; nothing where there is nobody to link with."""
    if len(contract.owners) == 1:
        return []
    terms = contract.linkage
    if terms.mode is LinkMode.KEYED:
        dummies = f", with {terms.dummies} per cent of records of nobody" if terms.dummies else ""
        word = (
            f"Its identifiers stay in its own home. A linkage gets keyed tokens of them{dummies}; the owners' desks "
            "agree on a new key for each one, and destroy it afterwards."
        )
        return [word, *_certainties(contract)]
    if terms.mode is LinkMode.IMPORT_CLK:
        word = (
            "Its identifiers stay in its own home. It gives Bloom filters of them, which another tool made. Who reads "
            "those and has a register of persons can name many of them, and links by them are of the lowest grade."
        )
        return [word]
    how = "compared in clear" if terms.mode is LinkMode.SEALED else f"compared by the exact rules {terms.rules}"
    word = f"Its identifiers are sealed in the room, and {how} inside the runtime of a linkage alone."
    return [word, *_review(terms), *_certainties(contract)]


def _review(terms: LinkTerms) -> list[str]:
    """What owners are asked about their own records."""
    word = (
        "Once, each owner gets a list of persons of its own to look at: "
        f"about {terms.review} that are drawn at random, and some that the model is unsure of, unmarked among them."
    )
    return [word] if terms.review else []


def _certainties(contract: Contract) -> list[str]:
    """How sure links are that analyses may ask for beside the contract's own."""
    stricter = " or ".join(f"{percent}" for percent in sorted(contract.linkage.stricter))
    word = f"An analysis may also count by links that are {stricter} per cent sure; what lies between is protected too."
    return [word] if stricter else []


def _quotas(contract: Contract) -> str:
    """How much may be asked in all."""
    quotas = contract.quotas
    return (
        f"Sees at most {quotas.cells_of_one} distinct cells and asks {quotas.variants_of_one} variants of a question; "
        f"all researchers together {quotas.cells_of_all} and {quotas.variants_of_all}."
    )


def _noise(contract: Contract) -> list[str]:
    """What the clause ``dp`` means."""
    privacy = contract.privacy
    if privacy is None:
        return []
    whole = Loss(micro_rho=privacy.budget.micro_rho, pico_delta=privacy.budget.pico_delta // 2)
    epsilon, delta = reported(privacy.budget, whole)
    questions = privacy.budget.micro_rho // privacy.question.micro_rho
    word = (
        f"Queries are answered with noise: {questions} different ones at most on each dataset, counted at its owner's "
        f"desk; all together are ({epsilon:.3g}, {delta:.1g})-differentially private for every person."
    )
    return [word]


def _memories(contract: Contract) -> list[str]:
    """What an owner should know about earlier releases before it signs."""
    lines = [_quotas(contract).replace("Sees", "A researcher sees", 1)]
    if contract.amends is not None:
        before = contract.amends.contract[:16]
        lines.append(f"Goes on with the memory, quotas and budgets of {before}, which ends at its desk by signing.")
    if contract.beside:
        names = ", ".join(sorted(digest[:16] for digest in contract.beside))
        lines.append(f"Earlier releases over its data are NOT compared with new ones: those under {names}.")
    return lines
