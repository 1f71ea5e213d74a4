# The benchmark: one experiment file in; models, measurements, tables, figures and a report out.
#
#   snakemake --cores all                                                the quickstart
#   snakemake --cores 8 --resources gpu=2 --configfile EXPERIMENT.yaml   an experiment
#   snakemake -n --configfile EXPERIMENT.yaml                            what would run
#   snakemake tune --cores 2 --configfile STUDY.yaml                     a study, or those of an experiment
#
# Targets short of the report: data, splits, models, measurements, tables.

import atexit

from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake.utils import min_version

from ssl_methods.watching.console import Console

min_version("9.18")


# Few lines instead of many; --verbose and --printshellcmds want the many, and --quiet all none.
CONSOLE, OUTPUT = Console(), workflow.output_settings
CONSOLE.silent = Quietness.ALL in (OUTPUT.quiet or ())
if workflow.is_main_process:
    if not (OUTPUT.dryrun or OUTPUT.verbose or OUTPUT.printshellcmds):
        CONSOLE.takes_over(logger)


# Without --configfile the quickstart. With it that file alone: the two must not merge key by key.
if not workflow.configfiles:

    configfile: workflow.source_path("configs/experiments/quickstart.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/looks.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/tune.smk"


rule all:
    default_target: True
    input:
        GRID.tuned if GRID.is_study else [GRID.report, *GRID.deleted_measurements()],


rule data:
    input:
        GRID.manifest,


rule splits:
    input:
        GRID.of_every_split(),


rule models:
    input:
        GRID.of_every_run("model.pt"),


rule measurements:
    input:
        GRID.of_every_run("cases.csv"),


rule tables:
    input:
        GRID.tables,


rule tune:
    input:
        lambda wildcards: studies_are_there(),


onstart:
    at_the_start()


# At exit, so that it is the last line, after Snakemake's own.
onsuccess:
    CONSOLE.end(ready=True)
    if was_wanted("report"):
        atexit.register(print, GRID.report)
    if was_wanted("tuning_answers"):
        atexit.register(print, *GRID.tuned, sep="\n")


onerror:
    CONSOLE.end(ready=False)
