"""The published JSON Schema of a contract (draft 2020-12), built from the words and limits that the reader uses.

Every contract that :func:`asepsis.domain.contract_reading.read_contract` accepts, this schema accepts. It also refuses
what a schema can see alone: unknown and missing keys, types, forms, limits. What ties two places together - a dataset's
owner must be a party, a bound must name a column - only the reader can say.
Source: https://json-schema.org/draft/2020-12.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from asepsis.domain.catalogue import ColumnType, Use
from asepsis.domain.continuity import MOST_CONCEPTS, MOST_DAYS, MOST_HOURS, EssentialList, WhenStale
from asepsis.domain.contract import SCHEMA_VERSION
from asepsis.domain.contract_reading import HIGHEST_LEVEL, MOST_RETENTION_DAYS
from asepsis.domain.datasets import TEXT_COLUMN, Holding
from asepsis.domain.documents import Document
from asepsis.domain.link_terms import MODES, MOST_DUMMIES, MOST_REVIEWED, PERCENTS, RULES, LinkTerms
from asepsis.domain.parties import Role
from asepsis.domain.privacy import LARGEST_NORM, MOST_RECORDS, MOST_VALUES
from asepsis.domain.quotas import Quotas
from asepsis.domain.snapshot import Label
from asepsis.domain.templates import LARGEST, ParameterType
from asepsis.domain.templates import MOST_VALUES as MOST_CHOICES

SCHEMA_ID: Final = f"urn:asepsis:contract:{SCHEMA_VERSION}"

_NAME: Final = r"^[a-z][a-z0-9_-]{0,62}$"
_TIME: Final = r"^[0-9W-]{7,10}.[0-9:.,]{2,}(Z|[+-][0-9:.,]{2,})$"
"""As ISO 8601 writes it, always with a zone; days that do not exist are left to the reader."""
_DIGEST: Final = r"^[0-9a-f]{64}$"
_ARGUMENT: Final = {"type": ["number", "string", "boolean"]}
_KEY: Final = r"^[A-Za-z0-9+/]{43}={1,2}$"
"""32 bytes in base64; a second ``=`` is redundant, and the reader does not mind it."""


def contract_schema() -> Document:
    """The schema, as a document of plain JSON values."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Asepsis contract (room.yaml)",
        **_closed(
            {
                "version": {"const": SCHEMA_VERSION},
                "name": _ref("name"),
                "title": _ref("text"),
                "purpose": _ref("text"),
                "legal_basis": _ref("text"),
                "valid": _closed({"from": _ref("time"), "until": _ref("time")}),
                "retention_days": _whole(1, most=MOST_RETENTION_DAYS),
                "parties": {**_named(_ref("party")), "minProperties": 1},
                "datasets": _named(_ref("dataset")),
                "tables": _named(_ref("table")),
                "analyses": _analyses(),
                "disclosure": _disclosure(),
                "budgets": {**_named(_whole()), "minProperties": 1},
                "runtime": _closed({"level": _whole(0, most=HIGHEST_LEVEL), "measurements": _texts()}),
                "ledger": _closed({"origin": _ref("text")}),
                "dp": _ref("dp"),
                "linkage": _linkage(),
                "continuity": _continuity(),
                "purposes": {**_named(_ref("text")), "minProperties": 1},
                "amends": _closed({"contract": _ref("digest"), "lineage": _ref("digest")}),
            },
            optional=("dp", "amends", "linkage", "continuity", "purposes"),
        ),
        "if": {"required": ["dp"]},
        "then": {"properties": {"analyses": {"properties": {"methods": {"maxItems": 0}}}}},
        "$defs": _definitions(),
    }


def _definitions() -> Document:
    return {
        "name": {"type": "string", "pattern": _NAME},
        "text": {"type": "string", "minLength": 1},
        "time": {"type": "string", "pattern": _TIME},
        "digest": {"type": "string", "pattern": _DIGEST},
        "key": {"type": "string", "pattern": _KEY},
        "party": _party(),
        "dataset": _closed(
            {"owner": _ref("name"), "label": _one_of(Label), "holds": _one_of(Holding), "free_text": _columns()},
            optional=("free_text",),
        ),
        "table": _closed(
            {"columns": _named(_ref("column")), "one_per_person": {"type": "boolean"}, "key": _ref("name")},
            optional=("one_per_person", "key"),
        ),
        "column": _closed(
            {"type": _one_of(ColumnType), "uses": _some_of(Use), "bin_width": _whole(1)}, optional=("bin_width",)
        ),
        "dp": _dp(),
    }


def _party() -> Document:
    party = _closed(
        {
            "name": _ref("text"),
            "roles": {**_some_of(Role), "minItems": 1},
            "signing_key": _ref("key"),
            "sealing_key": _ref("key"),
            "team_of": _ref("name"),
        },
        optional=("sealing_key", "team_of"),
    )
    needs = {Role.OWNER: ["sealing_key"], Role.CLINICIAN: ["sealing_key", "team_of"]}
    rules = [
        {
            "if": {"required": ["roles"], "properties": {"roles": {"contains": {"const": role.value}}}},
            "then": {"required": keys},
        }
        for role, keys in needs.items()
    ]
    return {**party, "allOf": rules}


def _analyses() -> Document:
    flag = {"type": "boolean"}
    clause = {"queries": flag, "methods": _texts(), "referrals": flag, "templates": _named(_template())}
    return _closed(clause, optional=clause)


def _template() -> Document:
    of_type = {
        ParameterType.INTEGER: _whole(-LARGEST, most=LARGEST),
        ParameterType.NUMBER: {"type": "number"},
        ParameterType.TEXT: {"type": "string"},
        ParameterType.DATE: {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    }
    values = [
        _closed(
            {
                "type": {"const": kind.value},
                "values": {"type": "array", "items": items, "maxItems": MOST_CHOICES, "uniqueItems": True},
            },
            optional=("values",),
        )
        for kind, items in of_type.items()
    ]
    template = {"title": _ref("text"), "sql": _ref("text"), "parameters": _named({"oneOf": values})}
    return _closed({**template, "digest": _ref("digest")}, optional=("parameters", "digest"))


def _disclosure() -> Document:
    quotas = Quotas().to_document()
    return _closed(
        {
            "profile": _ref("text"),
            "automatic_release": _texts(),
            "beside": {"type": "array", "items": _ref("digest"), "uniqueItems": True},
            "quotas": _closed(dict.fromkeys(quotas, _whole(1)), optional=quotas),
        },
        optional=("automatic_release", "beside", "quotas"),
    )


def _linkage() -> Document:
    return _closed(
        {
            "mode": {"enum": [mode.value for mode in MODES]},
            "percent": {"enum": list(PERCENTS)},
            "duplicate_free": _texts(),
            "rules": {"enum": list(RULES)},
            "dummies": _whole(0, most=MOST_DUMMIES),
            "stricter": {"type": "array", "items": {"enum": list(PERCENTS[1:])}},
            "similarity": _whole(1, most=100),
            "review": _whole(0, most=MOST_REVIEWED),
        },
        optional=(*LinkTerms().to_document(), "dummies", "stricter", "similarity", "review"),
    )


def _continuity() -> Document:
    limits = {
        "max_age_hours": _whole(1, most=MOST_HOURS),
        "when_stale": {"enum": [word.value for word in WhenStale]},
        "rpo_hours": _whole(1, most=MOST_HOURS),
        "rto_minutes": _whole(1, most=60 * MOST_HOURS),
    }
    analysis = {
        "title": _ref("text"),
        "responsible": _ref("text"),
        "query": _ref("text"),
        "method": _ref("text"),
        "arguments": _named({"anyOf": [_ARGUMENT, {"type": "array", "items": _ARGUMENT}]}),
        "digest": _ref("digest"),
        **limits,
    }
    one_of = [{"required": ["query"], "not": {"required": ["arguments"]}}, {"required": ["method"]}]
    essentials = {"responsible": _ref("text"), "cohort": _ref("text"), "lists": _essential_lists(), **limits}
    clause = _closed(
        {
            "lead": _ref("name"),
            "purpose": _ref("name"),
            "analyses": _named({**_closed(analysis, optional=("query", "method", "arguments")), "oneOf": one_of}),
            "essentials": _closed(essentials),
        },
        optional=("essentials", "purpose"),
    )
    return {**clause, "anyOf": [{"properties": {"analyses": {"minProperties": 1}}}, {"required": ["essentials"]}]}


def _essential_lists() -> Document:
    concepts = {"type": "array", "items": _whole(), "maxItems": MOST_CONCEPTS}
    terms = _closed({"days": _whole(most=MOST_DAYS), "concepts": concepts}, optional=("days", "concepts"))
    allergies = _closed({"days": _whole(most=MOST_DAYS), "concepts": {**concepts, "minItems": 1}}, optional=("days",))
    each = {name.value: allergies if name is EssentialList.ALLERGIES else terms for name in EssentialList}
    return {**_closed(each, optional=tuple(EssentialList)), "minProperties": 1}


def _dp() -> Document:
    around_zero = _whole(-LARGEST_NORM, most=LARGEST_NORM)
    bound = _closed({"low": around_zero, "high": around_zero, "norm": _whole(1, most=LARGEST_NORM)}, optional=("norm",))
    values = {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_VALUES,
        "uniqueItems": True,
        "anyOf": [{"items": {"type": "integer"}}, {"items": {"type": "string"}}],
    }
    return _closed(
        {
            "budget": _closed({"micro_rho": _whole(1), "pico_delta": _whole(1)}),
            "question": _closed({"micro_rho": _whole(1), "pico_delta": _whole()}),
            "records": _whole(1, most=MOST_RECORDS),
            "cells": _whole(1, most=MOST_RECORDS),
            "least_persons": _whole(),
            "bounds": _named(_named(bound)),
            "domains": _named(_named(values)),
            "bought": _closed({"micro_rho": _whole(1), "most": _whole(2, most=MOST_RECORDS)}),
        },
        optional=("least_persons", "bounds", "domains", "bought"),
    )


def _closed(properties: Mapping[str, object], *, optional: Collection[str] = ()) -> Document:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [key for key in properties if key not in optional],
        "additionalProperties": False,
    }


def _named(value: Document) -> Document:
    """A mapping from short names."""
    return {"type": "object", "patternProperties": {_NAME: value}, "additionalProperties": False}


def _ref(definition: str) -> Document:
    return {"$ref": f"#/$defs/{definition}"}


def _whole(least: int = 0, *, most: int | None = None) -> Document:
    limit: Document = {} if most is None else {"maximum": most}
    return {"type": "integer", "minimum": least, **limit}


def _one_of(words: type[Label | Holding | ColumnType]) -> Document:
    return {"enum": [word.value for word in words]}


def _some_of(words: type[Role | Use]) -> Document:
    return {"type": "array", "items": {"enum": [word.value for word in words]}, "uniqueItems": True}


def _columns() -> Document:
    named = {"type": "string", "pattern": f"^{TEXT_COLUMN.pattern}$"}
    return {"type": "array", "items": named, "uniqueItems": True}


def _texts() -> Document:
    return {"type": "array", "items": _ref("text"), "uniqueItems": True}
