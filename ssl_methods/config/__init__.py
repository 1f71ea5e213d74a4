"""Every setting of the harness: its default, its bounds and its one-line meaning.

YAML files override these models and add nothing to them: an unknown key is an error that names the
nearest valid one. Flow: ``load_experiment(file) -> Experiment``; ``Experiment.runs() -> [Run]``;
one ``Run`` holds all that training and evaluation need, and is written beside its results as
``run.yaml``. The settings of one method stand in that method's own file as a subclass of
``MethodConfig``, those of one importer in its own as a subclass of ``DatasetBase``. Imports no
torch: this package is read each time the workflow is planned.
"""

from ssl_methods.config.base import (
    Counted,
    LabeledCases,
    Lengths,
    Name,
    Settings,
    Sizes,
    TestFold,
    digest,
    setting,
)
from ssl_methods.config.budget import Budget, budget_name, budget_text, is_all, parse_budget
from ssl_methods.config.datasets import (
    IMPORTERS,
    Dataset,
    DatasetBase,
    ListSettings,
    StainSettings,
    dataset_class,
    name_importer,
)
from ssl_methods.config.evaluation import EvaluationConfig
from ssl_methods.config.experiment import Experiment
from ssl_methods.config.given import as_given
from ssl_methods.config.methods import (
    RELEASED_LOOP,
    MethodConfig,
    RampedConfig,
    largest_weight,
    teacher_decay,
)
from ssl_methods.config.network import NetworkConfig
from ssl_methods.config.reading import (
    declared_run,
    load_dataset,
    load_experiment,
    load_run,
    parse,
    parse_run,
)
from ssl_methods.config.run import MethodChoice, Run, changes, differences
from ssl_methods.config.training import FASTEST_FIRST, Precision, TrainingConfig, rounds_more
from ssl_methods.config.yaml_files import find_config, published_folder, read_yaml
from ssl_methods.errors import did_you_mean

__all__ = [
    "FASTEST_FIRST",
    "IMPORTERS",
    "RELEASED_LOOP",
    "Budget",
    "Counted",
    "Dataset",
    "DatasetBase",
    "EvaluationConfig",
    "Experiment",
    "LabeledCases",
    "Lengths",
    "ListSettings",
    "MethodChoice",
    "MethodConfig",
    "Name",
    "NetworkConfig",
    "Precision",
    "RampedConfig",
    "Run",
    "Settings",
    "Sizes",
    "StainSettings",
    "TestFold",
    "TrainingConfig",
    "as_given",
    "budget_name",
    "budget_text",
    "changes",
    "dataset_class",
    "declared_run",
    "did_you_mean",
    "differences",
    "digest",
    "find_config",
    "is_all",
    "largest_weight",
    "load_dataset",
    "load_experiment",
    "load_run",
    "name_importer",
    "parse",
    "parse_budget",
    "parse_run",
    "published_folder",
    "read_yaml",
    "rounds_more",
    "setting",
    "teacher_decay",
]
