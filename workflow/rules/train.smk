# One job per run. Its checkpoint lies in the same folder and is no output: Snakemake deletes the outputs
# of a job that failed, and a run that was interrupted is to resume. Nor are the other records: no rule asks
# for them, and each output more makes a plan of the grid longer (docs/explanation/decisions.md).


rule train:
    input:
        GRID.manifest,
        "results/{experiment}/splits/labeled-{budget}_subset-{subset}.json",
    output:
        f"{RUN}/run.yaml",
        f"{RUN}/model.pt",
    log:
        f"{RUN}/train.log",
    conda:
        "../envs/ssl_methods.yaml"
    threads: TRAINING.cpu_threads
    resources:
        gpu=GPUS,
    params:
        rests_on=of_run("train"),
    message:
        "Train {wildcards.method}: {wildcards.budget} labeled, subset {wildcards.subset}, seed {wildcards.seed}"
    shell:
        "exec python -m ssl_methods train results/{wildcards.experiment}/experiment.yaml --results results"
        " --method {wildcards.method} --budget {wildcards.budget}"
        " --subset {wildcards.subset} --seed {wildcards.seed}"
        " > {log} 2>&1"
