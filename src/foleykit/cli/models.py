"""`foley models`: which models can be used here, and what each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from foleykit.cli.show import print_json


@dataclass(frozen=True, kw_only=True)
class ListArgs:
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class InfoArgs:
    name: Annotated[str, typer.Argument(help="A shipped model or a model folder.")] = "tiny-avldm"
    card: Annotated[bool, typer.Option("--card", help="Print the model card.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


def run_list(args: ListArgs) -> None:
    """List the models that come with foleykit."""
    from foleykit.jobs.models import describe_model, shipped_models

    descriptions = [describe_model(name) for name in shipped_models()]
    if args.json:
        print_json({"models": [description.to_dict() for description in descriptions]})
        return
    for description in descriptions:
        print(
            f"{description.name:<20} {description.family:<10} {description.num_bytes / 1e6:6.1f} MB  "
            f"{description.sample_rate} Hz  {description.licence}"
        )
    if not descriptions:
        print("no models are shipped with this build")


def run_info(args: InfoArgs) -> None:
    """Say what one model is: family, size, rates, licence, checksum."""
    from foleykit.jobs.models import describe_model

    description = describe_model(args.name)
    if args.json:
        print_json(description.to_dict())
    elif args.card:
        print(description.card or f"{description.name} has no model card")
    else:
        for key, value in description.to_dict().items():
            print(f"{key:<16} {value}")
