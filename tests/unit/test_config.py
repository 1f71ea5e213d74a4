"""Settings: bounds, digests, and one clear line for every mistake."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter
from snakemake.cli import parse_config
from support.tiny import TINY

from ssl_methods import methods, yaml_core
from ssl_methods.config import (
    IMPORTERS,
    Experiment,
    MethodChoice,
    TrainingConfig,
    as_given,
    dataset_class,
    find_config,
    load_experiment,
    load_run,
    parse_budget,
)
from ssl_methods.config.base import IN_ORDER
from ssl_methods.errors import UserError
from ssl_methods.settings_pages.schema import experiment_schema
from ssl_methods.tuning.study import load_studies, studies_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainin": 1}, "trainin: unknown key; did you mean 'training'?"),
        (
            {"training": {"iteratons": 3}},
            "training.iteratons: unknown key; did you mean 'iterations'?",
        ),
        (
            {"dataset": {"name": "a", "importer": "phantom", "shap": [8, 8]}},
            "dataset.shap: unknown key; did you mean 'shape'?",
        ),
        (
            {"dataset": {"name": "a", "importer": "phantm"}},
            "dataset.importer: there is no 'phantm'; did you mean 'phantom'?",
        ),
        ({"dataset": "hippocampos"}, "there is no 'hippocampos'; did you mean 'hippocampus'?"),
        ({"name": "../elsewhere"}, "name: String should match pattern"),
        ({"name": "prepared"}, "name: 'prepared' is reserved"),
        ({"budgets": []}, "budgets: "),
        ({"budgets": [0]}, "budgets.0: "),
        ({"budgets": [4, 4]}, "budgets: must name at least one value, and none twice"),
        ({"budgets": [1.5]}, "budgets.0: "),
        ({"subsets": [-1]}, "subsets: must not be negative"),
        ({"methods": {}}, "methods: "),
        ({"baseline": "supervisd", "methods": ["dtc", "supervised"]}, "did you mean 'supervised'?"),
        ({"training": {"learning_rate": -1}}, "training.learning_rate: "),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate: "),
        ({"training": {"patch_size": [31, 32, 32]}}, "must be multiples of 2"),
        ({"evaluation": {"stride": [8, 8]}}, "evaluation.stride needs 3 numbers"),
        ({"evaluation": {"stride": [999, 8, 8]}}, "evaluation.stride must be within"),
        ({"training": {"flip_axes": [3]}}, "training.flip_axes must be within 0..2"),
        ({"training": {"validate_every": 5}}, "training.validate_every needs validation_cases"),
        ({"labeled_cases": "first", "subsets": 2}, "labeled_cases 'first' makes one subset"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(experiment, change, message):
    with pytest.raises(UserError) as caught:
        experiment(**change)
    lines = [line for line in str(caught.value).splitlines() if message in line]
    assert lines, str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"method": "dtcc"}, "there is no method 'dtcc'; did you mean 'dtc'?"),
        ({"method": "dtc", "settings": {"kk": 3}}, "kk: unknown key; did you mean 'k'?"),
        ({"method": "dtc", "settings": {"k": -1}}, "k: "),
    ],
)
def test_a_mistake_in_a_method_is_found_while_planning(choice, message):
    with pytest.raises(UserError, match="methods") as caught:
        methods.check_choice(MethodChoice(**choice))
    assert message in str(caught.value)


@pytest.mark.parametrize("content", ["", "just text", "a: [1", "\x00"])
def test_a_file_that_is_no_mapping(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=str(path)):
        load_experiment(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.yaml: cannot be read"):
        load_experiment(tmp_path / "nothing.yaml")


def test_the_grid(experiment):
    declared = experiment(budgets=[2, 0.5, "all"], subsets=2, seeds=[7])
    runs = list(declared.runs())
    assert len(runs) == 4 * 3 * 2
    assert len({run.folder for run in runs}) == len(runs)
    assert Path("tiny/runs/dtc/labeled-1.0/subset-1/seed-7") in {run.folder for run in runs}


def test_settings_survive_the_round_trip(experiment, tmp_path):
    declared = experiment(methods={"supervised": {}, "soft": {"method": "dtc", "k": 10}})
    again = load_experiment(json.loads(json.dumps(declared.model_dump(mode="json"))))
    assert again == declared
    run = declared.run("soft", 2, 0, 0)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json") | {"more": 1}))
    assert load_run(tmp_path / "run.yaml") == run


def test_digests_follow_what_they_stand_for(experiment):
    def digests(**changes):
        run = experiment(**changes).run("dtc", 2, 0, 0)
        return run.training_digest(), run.evaluation_digest(), run.dataset.digest()

    base = digests()
    assert digests(name="other") == base
    assert digests(methods={"dtc": {}, "supervised": {"ce_weight": 1}}) == base
    trained, evaluated, data = digests(methods={"dtc": {"k": 10}, "supervised": {}})
    assert trained != base[0] and evaluated != base[1] and data == base[2]
    trained, evaluated, _ = digests(evaluation={"nsd_tolerance_mm": 3})
    assert trained == base[0] and evaluated != base[1]


def test_a_method_file_overrides(tmp_path, monkeypatch, experiment):
    (tmp_path / "configs/methods").mkdir(parents=True)
    (tmp_path / "configs/methods/soft.yaml").write_text("method: dtc\nk: 10\n")
    monkeypatch.chdir(tmp_path)
    choice = experiment(methods={"supervised": {}, "soft": "soft"}).methods["soft"]
    assert choice == MethodChoice(method="dtc", settings={"k": 10})


@pytest.mark.parametrize("text", ["4", "0.1", "1.0", "all"])
def test_budgets_on_the_command_line(text):
    assert parse_budget(text) == {"4": 4, "0.1": 0.1, "1.0": 1.0, "all": 1.0}[text]
    assert isinstance(parse_budget(text), int) == (text == "4")


def test_budgets_that_are_none():
    with pytest.raises(UserError, match="a count"):
        parse_budget("four")


def test_recipes_resolve_in_order():
    released = methods.resolve(MethodChoice(method="dtc", recipe="as_released"))
    assert (released.ce_weight, released.dice_weight, released.ramp) == (0.0, 1.0, "stepwise")
    own = MethodChoice(method="dtc", recipe="as_released", settings={"ramp": "constant"})
    assert methods.resolve(own).ramp == "constant"
    assert methods.resolve(MethodChoice(method="dtc")).ce_weight == 0.5


def test_a_recipe_may_depend_on_the_number_of_labels():
    """SASSNet's README: 0.01 with 16 labeled scans, 0.015 with 8."""
    choice = MethodChoice(method="sassnet", recipe="as_released")
    weights = [methods.resolve(choice, labeled=n).weight for n in (None, 80, 16, 8, 4)]
    assert weights == [0.01, 0.01, 0.01, 0.015, 0.015]
    own = choice.model_copy(update={"settings": {"weight": 0.5}})
    assert methods.resolve(own, labeled=8).weight == 0.5
    unified = MethodChoice(method="sassnet")
    assert methods.resolve(unified, labeled=8).weight == 0.01


@pytest.mark.parametrize("name", methods.names())
def test_every_released_loop_is_float32_with_the_released_augmentation(name):
    loop = methods.method_class(name).Config.released_training(TrainingConfig())
    assert (loop.precision, loop.orientations, loop.crop) == ("float32", "released", "released")


def test_released_schedules_and_batches():
    def loop(name):
        return methods.method_class(name).Config.released_training(TrainingConfig())

    ssl4mis = {"dan", "cps", "cross_teaching", "cct", "ict", "urpc", "fixmatch", "r_drop"}
    ssl4mis |= {"entropy_minimization", "unimatch", "cross_match", "ad_mt"}
    poly = {name for name in methods.names() if loop(name).learning_rate_schedule == "poly"}
    assert poly == ssl4mis
    assert loop("mc_net").learning_rate_schedule == "constant"
    assert loop("urpc").learning_rate == 0.1 and loop("cps").learning_rate == 0.01
    assert (loop("bcp").labeled_batch, loop("bcp").unlabeled_batch) == (4, 4)
    assert (loop("supervised").labeled_batch, loop("supervised").unlabeled_batch) == (4, 0)


# ---- values from --config ------------------------------------------------------------------------


def by_config(*entries: str) -> dict:
    """What Snakemake makes of the words after ``--config``, and the workflow of that."""
    return as_given([], parse_config(list(entries)))


def settings_of(model, path=()):
    """Every setting with its path: those of an experiment, and those of every data set."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from settings_of(inner, (*path, name))
        else:
            yield (*path, name), field


ALL = [
    *((path, field) for path, field in settings_of(Experiment) if path[0] != "dataset"),
    *(
        (("dataset", *path), field)
        for kind in map(dataset_class, IMPORTERS.names())
        for path, field in settings_of(kind)
    ),
]
VALUES = [
    "null", "~", "true", "false", "yes", "off", "4", "-4", "4.0", "1e-3", "1E5", ".5", "5.", "010",
    "0o10", "0x1f", "1_000", "1:30", "2018-01-01", "all", "abc", "[1.0]", "[all]", "[1, 0.1, all]",
    "[0.25, 1e-1]", "[16, 16, 16]", "[null, true]", "{a: 1, b: [null]}", "[dtc, supervised]",
]  # fmt: skip


@pytest.mark.parametrize("path", sorted({path for path, _ in ALL}), ids=lambda path: ".".join(path))
def test_a_value_by_config_is_what_it_is_in_the_file(path):
    """For every setting, and every kind of word; those that Snakemake cuts are tested apart."""
    for value in VALUES:
        text = value
        for name in reversed(path[1:]):
            text = f"{{{name}: {text}}}"
        in_file = yaml_core.load(f"{path[0]}: {text}")
        found = by_config(f"{path[0]}={text}")
        assert repr(found) == repr(in_file)


def test_the_default_of_every_setting_can_be_given_by_config():
    for path, field in ALL:
        if field.is_required() or field.default == "":
            continue
        default = TypeAdapter(Any).dump_python(field.default, mode="json")
        text = json.dumps(default)
        for name in reversed(path[1:]):
            text = f"{{{name}: {text}}}"
        found = by_config(f"{path[0]}={text}")
        for name in path:
            found = found[name]
        assert found == default and type(found) is type(default), path


@given(st.text("0123456789+-_.eExonulyrsaNf~", min_size=1, max_size=6))
def test_any_word_in_a_list_means_by_config_what_it_means_in_a_file(word):
    try:
        in_file = yaml_core.load(f"budgets: [{word}]")
    except yaml_core.BadYaml:
        return
    assert repr(by_config(f"budgets=[{word}]")) == repr(in_file)


def test_config_files_and_words_are_merged_key_by_key():
    files = [{"training": {"iterations": 1, "momentum": 0.5}, "budgets": [1, 2]}]
    files.append({"training": {"iterations": 2}, "methods": ["dtc"]})
    assert as_given(files, parse_config(["training={momentum: 1e-1}", "budgets=[1.0]"])) == {
        "training": {"iterations": 2, "momentum": 0.1},
        "budgets": [1.0],
        "methods": ["dtc"],
    }


def test_nothing_is_handed_on_to_other_machines_as_nothing():
    assert by_config("other_crop=") == {"other_crop": None}
    # As Snakemake writes it on the command line of a job there.
    assert as_given([], parse_config(["other_crop=None"]), handed_on=True) == {"other_crop": None}


def test_a_word_that_is_no_text_says_how_to_write_it(experiment):
    with pytest.raises(UserError, match="description: must be text; in a file, write it in quotes"):
        experiment(description=4)


# ---- bounds and axes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"subsets": 10**9}, "subsets"),
        ({"seeds": 10**9}, "seeds"),
        ({"subsets": [10**10]}, "subsets"),
        ({"subsets": 2000, "seeds": 2000}, "declares"),
        ({"budgets": [10**9]}, "budgets.0"),
        ({"budgets": ["2.0"]}, "budgets.0"),
        ({"budgets": ["nan"]}, "budgets.0"),
        ({"budgets": [True]}, "budgets"),
        ({"budgets": 4}, "budgets: must be a list"),
        ({"validation_cases": 10**9}, "validation_cases"),
        ({"training": {"iterations": 10**12}}, "training.iterations"),
        ({"training": {"iterations": True}}, "iterations: must not be true or false"),
        ({"training": {"labeled_batch": 10**6}}, "training.labeled_batch"),
        ({"training": {"patch_size": [16, 16]}}, "evaluation.stride"),
        ({"training": {"patch_size": [16]}}, "training.patch_size"),
        ({"training": {"patch_size": [16, 16, 0]}}, "training.patch_size.2"),
        ({"training": {"patch_size": [16, 16, -16]}}, "training.patch_size.2"),
        ({"training": {"flip_axes": [0, 0]}}, "training.flip_axes"),
        ({"training": {"cpu_threads": 10**9}}, "training.cpu_threads"),
        ({"evaluation": {"window_batch": 10**9}}, "evaluation.window_batch"),
        ({"network": {"name": "monai:UNet", "arguments": {"bias": "no"}}}, "write true or false"),
    ],
)
def test_what_no_machine_holds_is_refused_in_one_line(experiment, change, key):
    stride = {"evaluation": {"stride": [8, 8, 8]}} if "evaluation" not in change else {}
    with pytest.raises(UserError) as caught:
        experiment(**(stride | change))
    assert key in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [100_000] * 3},
        {"shape": [1024, 1024, 1024]},
        {"shape": [0, 0, 0]},
        {"shape": [-5, 4, 4]},
        {"shape": [8]},
        {"shape": [8, 8, 8, 8]},
        {"train_cases": 10**9},
        {"test_cases": 10**9},
        {"seed": 10**12},
        {"spacing": [0, 1, 1]},
        {"spacing": [1, 1, 10**6]},
    ],
)
def test_phantoms_have_bounds(experiment, change):
    with pytest.raises(UserError) as caught:
        experiment(dataset={"name": "a", "importer": "phantom"} | change)
    lines = str(caught.value).splitlines()
    assert 1 <= len(lines) <= 3  # one per fault
    assert all(f"tiny: dataset.{next(iter(change))}" in line for line in lines)


NOT_PER_AXIS = {
    "budgets", "subsets", "seeds", "looks", "figures", "questions", "learning_rate_steps",
    "clip_values",
    "clip_percentiles", "ignore", "betas", "metrics",
}  # fmt: skip


def test_what_is_per_axis_says_in_which_order():
    """What has several numbers is per axis, unless it is named here."""
    several = [
        (path, field)
        for path, field in ALL
        if "tuple[" in str(field.annotation) and not NOT_PER_AXIS & set(path)
    ]
    assert {path[-1] for path, _ in several} >= {
        *("patch_size", "stride", "flip_axes", "spacing", "shape")
    }
    for path, field in several:
        assert IN_ORDER in (field.description or ""), path


def test_every_setting_has_a_meaning():
    def check(schema):
        for definition in [schema, *schema.get("$defs", {}).values()]:
            for name, field in definition.get("properties", {}).items():
                described = field.get("description") or name in {
                    *("name", "importer", "dataset", "methods", "network", "training"),
                    *("evaluation", "method", "recipe", "settings"),
                }
                assert described, name

    check(Experiment.model_json_schema())


def test_the_published_schema_is_current_and_takes_every_experiment():
    """Editors check experiment files with it."""
    path = ROOT / "workflow" / "schemas" / "experiment.schema.json"
    schema = json.loads(path.read_text())
    assert schema == experiment_schema(), "run: ssl-methods reference"
    for declared in (ROOT / "configs/experiments").glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(declared.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "a", "dataset": "a", "methods": [], "budgets": [4]}, schema)


@pytest.mark.parametrize("path", sorted((ROOT / "configs/experiments").glob("*.yaml")), ids=str)
def test_the_declared_experiments_are_valid(path):
    for choice in load_experiment(path).methods.values():
        methods.check_choice(choice)


def test_the_declared_datasets_are_valid(experiment):
    for path in (ROOT / "configs/datasets").glob("*.yaml"):
        assert find_config("datasets", path.stem).samefile(path)
        patch = [16, 16] if "2d" in path.stem else [16, 16, 16]
        experiment(dataset=path.stem, training={"patch_size": patch})


GRID = {
    "name": "grid",
    "dataset": {"name": "tiny", "importer": "phantom"},
    "methods": {
        "supervised": {},
        "dtc": {},
        "mean_teacher": {"subsets": 2},
        "bcp": {"budgets": [8]},
    },
    "budgets": [4, 8],
    "training": {"patch_size": [16, 16, 16]},
}


def counted(experiment, **compared):
    """How many subsets each row has at each budget."""
    found = Counter((run.name, run.budget) for run in experiment.runs(compared))
    return {row: found[row] for row in sorted(found)}


def test_two_phases_train_the_baseline_on_all_subsets_and_the_others_on_the_chosen():
    experiment = load_experiment(GRID | {"subsets": {"baseline": 5, "compared": 3}})
    first = {("mean_teacher", 4): 2, ("mean_teacher", 8): 2}
    first |= {("supervised", 4): 5, ("supervised", 8): 5}
    assert counted(experiment) == first
    waiting = [line.split(": ")[1].split(" labels")[0] for line in experiment.waiting()]
    assert waiting == ["dtc at 4", "dtc at 8", "bcp at 8"]
    chosen = {("bcp", 8): 3, ("dtc", 8): 3}
    assert counted(experiment, **{"8": [4, 0, 2]}) == chosen | first
    assert {run.subset for run in experiment.runs({"8": [4, 0, 2]}) if run.name == "dtc"} == {
        0,
        2,
        4,
    }
    assert load_experiment(experiment.model_dump(mode="json")) == experiment


def test_subsets_by_budget():
    experiment = load_experiment(GRID | {"subsets": {"4": {"baseline": 6, "compared": 2}, "8": 1}})
    assert experiment.subsets == (0, 1, 2, 3, 4, 5)
    alone = {("bcp", 8): 1, ("dtc", 8): 1, ("mean_teacher", 4): 2, ("mean_teacher", 8): 1}
    assert counted(experiment) == alone | {("supervised", 4): 6, ("supervised", 8): 1}
    with pytest.raises(UserError, match=r"must name every budget and no other \(at fault: 8\)"):
        load_experiment(GRID | {"subsets": {"4": 2}})


def test_looks_of_a_row_end_with_all_that_it_is_trained_on():
    subsets = {"4": {"baseline": 40, "compared": 12}, "8": 10}
    experiment = load_experiment(GRID | {"subsets": subsets, "looks": [8, 12, 20]})
    assert experiment.looks_of("dtc", 4) == (8, 12)
    assert experiment.looks_of("dtc", 8) == (8, 10)
    assert experiment.looks_of("mean_teacher", 4) == (2,)
    assert load_experiment(GRID | {"subsets": 5}).looks_of("dtc", 8) == (5,)
    for looks in ([8, 4], [8, 8], [1, 5]):
        with pytest.raises(UserError, match="looks must rise"):
            load_experiment(GRID | {"subsets": 12, "looks": looks})
    with pytest.raises(UserError, match=r"compared \(6\) are chosen of the baseline's \(5\)"):
        load_experiment(GRID | {"subsets": {"baseline": 5, "compared": 6}})


def test_level_cases_are_of_the_first_phase_and_change_no_model():
    one = load_experiment(GRID | {"subsets": {"baseline": 5, "compared": 3, "level_cases": 7}})
    two = load_experiment(GRID | {"subsets": 5})
    first, other = one.run("supervised", 4, 0, 0), two.run("supervised", 4, 0, 0)
    assert (first.level_cases, one.run("dtc", 4, 0, 0).level_cases) == (7, 0)
    assert first.training_digest() == other.training_digest()
    assert first.evaluation_digest() != other.evaluation_digest()


@pytest.mark.parametrize(
    "wrong",
    [
        {"methods": ["supervised", {"dtc": {}}]},
        {"scopes": ["a"]},
        {"studies": {"s": {"methods": {"dtc": ["k", {}]}}}},
        {"studies": {"s": {"methods": "dtc"}}},
        {"studies": {"s": {"training": 3}}},
        {"studies": {"s": {"methods": {"dtc": {"search": "k"}}}}},
    ],
)
def test_a_list_or_word_where_names_have_values_is_one_line(wrong):
    with pytest.raises(UserError, match=r"(methods|scopes|training).*(must|should) be"):
        load_studies(TINY | wrong)


def test_a_name_that_is_not_there_is_said_with_the_file_that_names_it(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(TINY | {"dataset": "nam"}))
    with pytest.raises(UserError, match=r"mine.yaml: dataset: configs/datasets: there is no 'nam'"):
        load_experiment(path)
    with pytest.raises(UserError, match=r"studies.s: configs/studies: there is no 's'"):
        studies_of(load_experiment(TINY | {"studies": ["s"]}))
    with pytest.raises(UserError) as raised:
        load_experiment(TINY | {"dataset": TINY["dataset"] | {"[" * 10_000: 1}})
    assert len(str(raised.value)) < 2_000
