# Studies: one job lays out the trials, workers share them, one job says what was found. The storage and the
# trials' checkpoints are no outputs: Snakemake deletes those of a job that failed, and a study is to go on.


rule tuning_layout:
    input:
        GRID.manifest,
    output:
        touch(f"{TUNING}/layout.done"),
    log:
        f"{TUNING}/layout.log",
    conda:
        "../envs/ssl_methods.yaml"
    params:
        rests_on=lambda wildcards: GRID.rests_on("tuning_layout", wildcards.study),
    message:
        "Lay out the trials: {wildcards.study}"
    shell:
        "exec python -m ssl_methods tune $(dirname {output})/study.yaml --part layout --results results"
        " > {log} 2>&1"


rule tuning_work:
    input:
        f"{TUNING}/layout.done",
    output:
        touch(f"{TUNING}/workers/{{worker}}.done"),
    log:
        f"{TUNING}/workers/{{worker}}.log",
    benchmark:
        f"{TUNING}/workers/{{worker}}.tsv"
    conda:
        "../envs/ssl_methods.yaml"
    threads: lambda wildcards: study_of(wildcards).training.cpu_threads
    resources:
        gpu=lambda wildcards: grid.gpus_of_a_job(study_of(wildcards).training),
    message:
        "Run trials: {wildcards.study}, worker {wildcards.worker}"
    shell:
        "exec python -m ssl_methods tune $(dirname {input})/study.yaml --part work --results results"
        " > {log} 2>&1"


rule tuning_answers:
    input:
        layout=f"{TUNING}/layout.done",
        workers=of_every_worker,
    output:
        f"{TUNING}/trials.csv",
        f"{TUNING}/runs.csv",
        f"{TUNING}/importances.csv",
        f"{TUNING}/best.yaml",
        f"{TUNING}/figures/history.png",
    log:
        f"{TUNING}/answers.log",
    conda:
        "../envs/ssl_methods.yaml"
    params:
        rests_on=GRID.rests_on("tuning_answers"),
    message:
        "Say what was found: {wildcards.study}"
    shell:
        "exec python -m ssl_methods tune $(dirname {input.layout})/study.yaml --part answers --results results"
        " > {log} 2>&1"
