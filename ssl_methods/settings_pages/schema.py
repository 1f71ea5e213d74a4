"""The JSON schema of experiment files, for editors: what the verb `schema` prints.

It is generated from the settings, and allows the short forms in which a file may write them.
"""

from __future__ import annotations

from typing import Any

from ssl_methods.config import Experiment


def experiment_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of an experiment file as a person writes it."""
    schema = Experiment.model_json_schema()
    properties = schema["properties"]
    own = {
        "type": "object",
        "properties": {"importer": {"type": "string", "pattern": r"\.py$"}},
        "required": ["name", "importer"],
        "description": "with an importer in a file of one's own",
    }
    properties["dataset"] = {"anyOf": [{"type": "string"}, properties["dataset"], own]}
    overrides = {
        "type": "object",
        "properties": {
            **schema["$defs"]["MethodChoice"]["properties"],
            **schema["$defs"]["Scope"]["properties"],
        },
        "description": "settings of the method, and method, recipe, budgets, subsets",
    }
    properties["methods"] = {
        "description": "names of methods, or each row's name with its overrides",
        "anyOf": [
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
            {
                "type": "object",
                "additionalProperties": _or({"type": ["string", "null"]}, overrides),
                "minProperties": 1,
            },
        ],
    }
    names = {"type": "array", "items": {"type": "string"}}
    properties["studies"] = _or(names, properties["studies"])
    for name in ("subsets", "seeds"):
        properties[name] = _or({"type": "integer", "minimum": 1}, properties[name])
    phases = {"$ref": "#/$defs/Phases"}
    by_budget = {"type": "object", "additionalProperties": _or({"type": "integer"}, phases)}
    properties["subsets"]["anyOf"] += [phases, by_budget]
    for name in ("phases", "scopes"):  # what these forms become
        del properties[name]
    budgets = properties["budgets"]
    budgets["items"] = _or({"const": "all"}, budgets["items"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _or(short: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [short, full]}
