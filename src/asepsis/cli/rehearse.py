"""``asepsis rehearse``: an owner tries analyses on local tables, under the rules, before signing anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from asepsis.cli.report import reported


def run(
    data: Annotated[Path, typer.Option("--data", help="A folder with <table>.parquet or <table>.csv files.")],
    steps: Annotated[Path, typer.Option("--steps", help="A YAML list: - sql: … or - method: …, args: {…}.")],
    contract: Annotated[Path | None, typer.Option("--contract", help="The contract whose rules apply.")] = None,
    profile: Annotated[str, typer.Option("--profile", help="Without a contract: the policy profile.")] = "strict-10",
) -> None:
    """Run the steps in order from an empty memory; prints one JSON object per step."""
    with reported():
        from asepsis.bootstrap.rehearsing import rehearsal
        from asepsis.domain.contract_reading import read_contract
        from asepsis.services.rehearsal import read_steps
        from asepsis.yaml_files import read_yaml

        listed = read_steps(read_yaml(steps))
        agreed = None if contract is None else read_contract(read_yaml(contract))
        with rehearsal(data, contract=agreed, profile=profile) as prepared:
            for answer in prepared.run(listed):
                typer.echo(json.dumps(answer, ensure_ascii=False, default=str))
