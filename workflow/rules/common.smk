# The grid of the experiment, and every helper of the rules. Nothing here reads scans, or imports torch
# unless a method's settings are overridden and have to be checked.

import gc
import os
import re
import sys
import time
from functools import cache
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError

from ssl_methods.config import (
    as_given,
    budget_text,
    digest,
    load_experiment,
    read_yaml,
)
from ssl_methods import rests_on
from ssl_methods.data.compared import compared_now, runs_of
from ssl_methods.data.prepare import made_from, source_fingerprint
from ssl_methods.data.splits import check_prepared, split_name
from ssl_methods.data.store import store_folder
from ssl_methods.devices.gpus import visible_gpus
from ssl_methods.errors import UserError
from ssl_methods.files import write_yaml
from ssl_methods.locks import holder, take
from ssl_methods.memory import recall
from ssl_methods.methods import check_choice
from ssl_methods.provenance import source_digest
from ssl_methods.training.plan import lines, plan
from ssl_methods.tuning.study import experiment_of, load_studies, studies_of

# A plan is hundreds of objects per run that live to the end; looking for garbage among them was an eighth of
# the time of planning. When jobs start it is looked for again, but not among these.
gc.disable()


def look_for_garbage():
    gc.freeze()
    gc.enable()


# Jobs use the Python that runs Snakemake, also where its environment is not activated.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
)

# ---- the experiment --------------------------------------------------------------------------------


def settings_in(file):
    """Of a configuration file; one that is a program (__use_yte__) is run by Snakemake."""
    settings = read_yaml(Path(file))
    return load_configfile(file) if "__use_yte__" in settings else settings


def with_own_methods(settings):
    """--config method_module=FILE.py,... adds methods of one's own, each named as its file."""
    settings = dict(settings)
    for file in filter(None, str(settings.pop("method_module", "")).split(",")):
        listed, name = settings.get("methods") or {}, Path(file).stem
        methods = dict.fromkeys(listed) if isinstance(listed, list) else listed
        own = (methods.get(name) or {}) | {"module": file}
        settings["methods"] = methods | {name: own}
    return settings


def fingerprint(dataset):
    """Of the source; if that is not here, but data prepared from it are, of what it was."""
    try:
        return source_fingerprint(dataset)
    except UserError:
        store = store_folder(dataset, Path("results"))
        if (prepared_from := made_from(store)) is None:
            raise
        print(f"{store}: its source is not here; taken as it is", file=sys.stderr)
        return prepared_from


try:
    given = as_given(
        [settings_in(file) for file in workflow.configfiles],
        workflow.config_settings.config,
        handed_on=not workflow.is_main_process,
    )
    # A file of configs/studies/ names its experiment.
    is_study = "experiment" in given
    declared = experiment_of(given) if is_study else with_own_methods(given)
    experiment = load_experiment(declared)
    studies = load_studies(given) if is_study else studies_of(experiment)
    for choice in experiment.methods.values():
        check_choice(choice, f"{experiment.name}: methods")
    data_fingerprint = fingerprint(experiment.dataset)
    if made_from(store_folder(experiment.dataset, Path("results"))) == data_fingerprint:
        check_prepared(experiment, Path("results"))
except UserError as error:
    # Snakemake's own error would bury the line in the position in this file.
    sys.exit("\n".join(f"error: {line}" for line in str(error).splitlines()))

HOME = f"results/{experiment.name}"
EXPERIMENT = f"{HOME}/experiment.yaml"
STORE = store_folder(experiment.dataset, Path("results")).as_posix()
MANIFEST = f"{STORE}/manifest.json"
TABLES = [f"{HOME}/tables/{name}.csv" for name in rests_on.TABLES]
REPORT = f"{HOME}/report.html"
STUDIES = {study.name: study for study in studies}
TUNING = f"{HOME}/tuning/{{study}}"
TUNED = [f"{HOME}/tuning/{name}/best.yaml" for name in STUDIES]
RUN = "results/{experiment}/runs/{method}/labeled-{budget}/subset-{subset}/seed-{seed}"
RUNS = {
    f"results/{run.folder.as_posix()}": run
    for run in runs_of(experiment, Path("results"))
}


def one_of(values):
    return "|".join(re.escape(str(value)) for value in values)


wildcard_constraints:
    experiment=re.escape(experiment.name),
    method=one_of(experiment.methods),
    budget=one_of(budget_text(budget) for budget in experiment.budgets),
    subset=one_of(experiment.subsets),
    seed=one_of(experiment.seeds),
    study=one_of(STUDIES) or "(?!)",
    worker=r"\d+",


def declare():
    """Write the settings that the jobs read, as Snakemake resolved them (--config included).

    They are no job's input: a job runs again if the digest in its params, of the settings that concern
    it, has changed. (Nor a rule's output taken as ancient(): if that rule has to run, Snakemake 9.27
    overlooks that the params of what follows have changed too.)
    """
    write_yaml(Path(EXPERIMENT), experiment.model_dump(mode="json"))
    write_yaml(Path(f"{STORE}.yaml"), experiment.dataset.model_dump(mode="json"))
    if (
        was_wanted("tuning_layout")
        or was_wanted("tuning_work")
        or was_wanted("tuning_answers")
    ):
        for name, study in STUDIES.items():
            write_yaml(
                Path(HOME, "tuning", name, "study.yaml"), study.model_dump(mode="json")
            )


def announce():
    """What the runs ahead will cost, before they start: if this call trains any; and what waits."""
    for line in experiment.waiting(compared_now(experiment, Path("results"))):
        print(line, flush=True)
    if any(job.rule.name == "train" for job in workflow.dag.needrun_jobs()):
        resources = workflow.global_resources
        gpus = resources["gpu"].value if "gpu" in resources else None
        costs = plan(experiment, Path("results"))
        print(
            "\n".join(lines(costs, experiment.name, gpus or workflow.cores or 1)),
            flush=True,
        )


# ---- after a crash, and beside others --------------------------------------------------------------

# One Snakemake at a time on an experiment. Its own lock is off (profiles/default/config.yaml), because
# it stays when the holder is killed. Taken before the jobs are planned: a plan made while another
# Snakemake works is outdated when that one has ended. A dry run needs no lock.
LOCK = Path(f".snakemake/{experiment.name}.lock")
LOCKED = None
if workflow.is_main_process and not workflow.output_settings.dryrun:
    try:
        LOCKED = take(LOCK)
    except UserError as error:
        sys.exit(f"error: {error}")


if LOCKED is not None or workflow.output_settings.dryrun:
    recall(experiment, RUNS, Path("results"), data_fingerprint)


def be_alone():
    if LOCKED is None:
        sys.exit(
            f"error: {HOME}: another Snakemake works on this experiment ({holder(LOCK)}); wait for it or stop it"
        )


def mend_times():
    """Bring files that are newer than now back to now.

    After the clock was set back, Snakemake fails every job whose input comes from the future.
    """
    now = time.time()
    for file in {file for job in workflow.dag.needrun_jobs() for file in job.input}:
        path = Path(file)
        if path.exists() and path.stat().st_mtime > now:
            print(
                f"{path}: is from the future, as if the clock had been set back; its time is now"
            )
            os.utime(path, (now, now))


# ---- what a job depends on -------------------------------------------------------------------------


def of_every_run(name):
    return [f"{folder}/{name}" for folder in RUNS]


def deleted_measurements():
    """Of runs that are not there although the tables are: Snakemake asks for nothing that lies behind a
    file that is up to date. To name them all would cost 16 MB at 10,000 runs.
    """
    if not all(Path(table).exists() for table in TABLES):
        return []
    return [file for file in of_every_run("cases.csv") if not Path(file).exists()]


def of_every_split():
    return [
        f"{HOME}/splits/{split_name(budget, subset)}"
        for budget in experiment.budgets
        for subset in experiment.subsets
    ]


def run_of(wildcards):
    return RUNS[RUN.format(**wildcards)]


def of_every_worker(wildcards):
    workers = range(STUDIES[wildcards.study].workers)
    return [f"{TUNING}/workers/{i}.done".format(study=wildcards.study) for i in workers]


def gpus_of_study(wildcards):
    return 0 if STUDIES[wildcards.study].training.device == "cpu" else 1


def study_settings(wildcards):
    return digest(STUDIES[wildcards.study].model_dump(mode="json", exclude={"workers"}))


def studies_are_there():
    """What `snakemake tune` makes; without a study it says so."""
    if not STUDIES:
        raise WorkflowError(
            f"{experiment.name}: declares no study; see docs/how-to/tune.md"
        )
    return TUNED


def was_wanted(rule):
    return any(job.rule.name == rule for job in workflow.dag.jobs)


# ---- devices ---------------------------------------------------------------------------------------

# What a job asks for. --resources gpu=0 lowers it to none, where a cluster has no GPUs to give.
GPUS = 0 if experiment.training.device == "cpu" else 1


def share_gpus():
    """Start no more GPU jobs at a time than there are slots, unless --resources gpu=N says otherwise.

    One more would do no harm, but hold a core while it waits for its device (ssl_methods/devices/).
    """
    slots = len(visible_gpus()) * experiment.training.runs_per_gpu
    if (
        slots
        and workflow.is_main_process
        and workflow.local_exec
        and "gpu" not in workflow.global_resources
    ):
        workflow.register_resource("gpu", slots)


share_gpus()
