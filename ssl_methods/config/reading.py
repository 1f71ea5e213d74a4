"""From a file to an experiment or a run; each fault is one line with the nearest valid name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, create_model

from ssl_methods.config.base import Settings
from ssl_methods.config.datasets import (
    IMPORTERS,
    Dataset,
    DatasetBase,
    dataset_class,
    name_importer,
)
from ssl_methods.config.experiment import Experiment
from ssl_methods.config.run import Run
from ssl_methods.config.yaml_files import find_config, read_yaml
from ssl_methods.errors import UserError, did_you_mean, printable
from ssl_methods.measures import name_metrics
from ssl_methods.plugins import is_file
from ssl_methods.shown import masked

Model = TypeVar("Model", bound=BaseModel)


def load_experiment(source: Path | Mapping[str, Any]) -> Experiment:
    """An experiment from a YAML file or from a mapping already read.

    Raises UserError: one line per fault, each naming the file, the key and the nearest valid name.
    """
    data = read_yaml(source) if isinstance(source, Path) else dict(source)
    where = str(source) if isinstance(source, Path) else str(data.get("name", "experiment"))
    if isinstance(data.get("dataset"), str):
        try:
            file = find_config("datasets", data["dataset"])
        except UserError as error:
            raise UserError(f"{where}: dataset: {error}") from None
        data["dataset"] = read_yaml(file)
    name_importer(data.get("dataset"))
    experiment = parse(Experiment, data, where)
    name_metrics(experiment.evaluation.metrics)
    return experiment


def load_dataset(source: Path | Mapping[str, Any]) -> DatasetBase:
    """A data set alone, from a file of `configs/datasets/` or one's own. Raises as
    ``load_experiment`` does."""
    data = read_yaml(source) if isinstance(source, Path) else dict(source)
    where = str(source) if isinstance(source, Path) else str(data.get("name", "dataset"))
    name_importer(data)
    model: Any = create_model("DatasetFile", __base__=Settings, dataset=(Dataset, ...))
    file: Any = parse(model, {"dataset": data}, where)
    dataset: DatasetBase = file.dataset
    return dataset


def load_run(path: Path) -> Run:
    """The ``run.yaml`` of an earlier run; what it records beside the settings is left out."""
    return parse_run(read_yaml(path), path)


def parse_run(recorded: Mapping[str, Any], path: Path) -> Run:
    """The run among what ``path`` records."""
    settings = {key: recorded[key] for key in recorded if key in Run.model_fields}
    return parse(Run, settings, str(path))


def declared_run(recorded: Mapping[str, Any], path: Path) -> Run:
    """The run as it was declared: before its recipe replaced settings of the training."""
    training, replaced = recorded.get("training"), recorded.get("replaced")
    if isinstance(training, Mapping) and isinstance(replaced, Mapping):
        recorded = {**recorded, "training": {**training, **replaced}}
    return parse_run(recorded, path)


def parse(model: type[Model], data: Any, where: str) -> Model:
    """Validate, and turn pydantic's report into one clear line per fault."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = sorted({masked(_one_line(model, fault)) for fault in _causes(error)})
        raise UserError("\n".join(f"{where}: {line}" for line in lines)) from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _causes(error: ValidationError) -> list[Any]:
    """The faults that matter: pydantic also says that a list is too short without its bad items."""
    faults = error.errors()
    parents = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return [it for it in faults if it["type"] != "too_short" or it["loc"] not in parents]


def _one_line(model: type[BaseModel], fault: Any) -> str:
    parts = [str(part) for part in fault["loc"]]
    tags = {"constrained-int", "constrained-float"}
    named = [part for part in parts if part not in tags and not _is_importer(part)]
    key = printable(".".join(named), 200)
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(parts[-1], _keys_at(model, parts[:-1]))}"
    if fault["type"] == "missing":
        return f"{key}: is missing"
    if fault["type"] == "union_tag_invalid":
        given = fault["ctx"]["tag"]
        return f"{key}.importer: there is no '{given}'{did_you_mean(given, IMPORTERS.names())}"
    if fault["type"] == "string_type":
        fault = fault | {"msg": "must be text; in a file, write it in quotes"}
    if fault["type"] in ("tuple_type", "list_type"):
        fault = fault | {"msg": "must be a list, e.g. [1, 2]"}
    message = fault["msg"].removeprefix("Value error, ")
    given = fault.get("input")
    is_word = isinstance(given, str | int | float | bool)
    shown = f" (given: {printable(repr(given), 200)})" if is_word else ""
    return f"{key}: {message}{shown}" if key else f"{message}{shown}"


def _keys_at(model: type[BaseModel], parts: list[str]) -> list[str]:
    """The valid keys of the model reached by following field names (and an importer's tag)."""
    for part in parts:
        if _is_importer(part):
            model = dataset_class(part)
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)


def _is_importer(part: str) -> bool:
    """Is it the tag by which pydantic tells the data sets of importers apart?"""
    return is_file(part) or part in IMPORTERS.packaged
