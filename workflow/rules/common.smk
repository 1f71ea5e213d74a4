# Names of the grid, as the rules write them, and what they may be. What they stand for, and what a job rests on,
# is in ssl_methods/grid.py.

import atexit
import gc
import os
import re
import sys
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake.shell import shell

from ssl_methods import grid
from ssl_methods.config import as_given, budget_text, read_yaml
from ssl_methods.data.compared import is_decided
from ssl_methods.devices.gpus import visible_gpus
from ssl_methods.errors import UserError
from ssl_methods.memory import recall

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


def stop(error):
    """Snakemake's own error would bury the line in the position in this file."""
    sys.exit("\n".join(f"error: {line}" for line in str(error).splitlines()))


def settings_in(file):
    """Of a configuration file; one that is a program (__use_yte__) is run by Snakemake."""
    settings = read_yaml(Path(file))
    return load_configfile(file) if "__use_yte__" in settings else settings


# A dry run needs no lock.
TURN, DRY = None, workflow.output_settings.dryrun
try:
    GRID = grid.Grid.of(
        as_given(
            [settings_in(file) for file in workflow.configfiles],
            workflow.config_settings.config,
            handed_on=not workflow.is_main_process,
        )
    )
    if workflow.is_main_process and not DRY:
        TURN = GRID.turn()
    if TURN is not None or DRY:
        recall(GRID)
except UserError as error:
    stop(error)

RUN = f"results/{grid.RUN}"
TUNING = f"{GRID.home}/tuning/{{study}}"
TRAINING = GRID.experiment.training
GPUS = grid.gpus_of_a_job(TRAINING)


def one_of(values):
    return "|".join(re.escape(str(value)) for value in values)


wildcard_constraints:
    experiment=re.escape(GRID.experiment.name),
    method=one_of(GRID.experiment.methods),
    budget=one_of(budget_text(budget) for budget in GRID.experiment.budgets),
    subset=one_of(GRID.experiment.subsets),
    seed=one_of(GRID.experiment.seeds),
    study=one_of(GRID.studies) or "(?!)",
    worker=r"\d+",
    size=r"\d+",


def of_run(rule):
    """The params of a run's job."""
    return lambda wildcards: GRID.rests_on(rule, RUN.format(**wildcards))


def up_to_the_look(wildcards):
    """The measurements that a look needs; they are known when the compared subsets are chosen."""
    if GRID.has_choice(wildcards.budget):
        checkpoints.choose.get(budget=wildcards.budget)
    return GRID.of_look(wildcards.budget, int(wildcards.size))


def last_look(wildcards):
    """Look after look, until one decides every comparison."""
    for size in GRID.looks(wildcards.budget):
        made = checkpoints.look.get(budget=wildcards.budget, size=size)
        if is_decided(Path(made.output[0])):
            break
    return made.output[0]


def study_of(wildcards):
    return GRID.studies[wildcards.study]


def of_every_worker(wildcards):
    workers = range(study_of(wildcards).workers)
    return [f"{TUNING}/workers/{i}.done".format(study=wildcards.study) for i in workers]


def studies_are_there():
    """What `snakemake tune` makes; without a study it says so."""
    if not GRID.studies:
        name = GRID.experiment.name
        raise WorkflowError(f"{name}: declares no study; see docs/how-to/tune.md")
    return GRID.tuned


def was_wanted(*rules):
    return any(job.rule.name in rules for job in workflow.dag.jobs)


def at_a_time():
    """How many jobs run side by side."""
    resources, settings = workflow.global_resources, workflow.resource_settings
    gpus = resources["gpu"].value if "gpu" in resources else None
    # (workflow.cores is an error on a cluster, which is told of no cores but of so many jobs.)
    if workflow.local_exec:
        jobs = (settings.cores or 1) // TRAINING.cpu_threads
    else:
        jobs = settings.nodes
    return max(1, gpus or jobs or 1)


def at_the_start():
    look_for_garbage()
    if TURN is None:
        stop(GRID.not_alone())
    ahead = list(workflow.dag.needrun_jobs())
    grid.mend_times(file for job in ahead for file in job.input)
    GRID.declare(studies=was_wanted("tuning_layout", "tuning_work", "tuning_answers"))
    CONSOLE.start(
        GRID.experiment,
        GRID.results,
        GRID.waiting(),
        rules={job.rule.name for job in ahead},
        at_a_time=at_a_time(),
        terminate=terminate,
    )


def terminate():
    """Stop the jobs of this machine. Their shells became them (exec), so that they know of it."""
    for job in workflow.dag.jobs:
        shell.terminate(job.jobid)


# No more GPU jobs at a time than there are slots, unless --resources gpu=N says otherwise.
if workflow.is_main_process and workflow.local_exec:
    slots = grid.gpu_slots(TRAINING, visible_gpus())
    if slots and "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", slots)

# Nothing starts in a dry run; what it would take is its last line.
if DRY and workflow.is_main_process and not GRID.is_study:
    atexit.register(lambda: CONSOLE.preview(GRID.experiment, GRID.results, at_a_time()))
