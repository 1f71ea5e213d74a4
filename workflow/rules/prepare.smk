# Scans into the prepared store, which experiments on one dataset share; and which cases are labeled.


rule prepare:
    output:
        update(GRID.manifest),  # not deleted before the job: a store that is current stays as it is
    log:
        f"{GRID.store}.log",
    benchmark:
        f"{GRID.store}.tsv"
    conda:
        "../envs/ssl_methods.yaml"
    threads: 8
    params:
        rests_on=GRID.rests_on("prepare"),  # of the source's files, and of the code that prepares them
    message:
        "Prepare the data: {output}"
    shell:
        f"exec python -m ssl_methods prepare {GRID.store}.yaml --results results"
        " --workers {threads} > {log} 2>&1"


rule split:
    input:
        GRID.manifest,
    output:
        "results/{experiment}/splits/labeled-{budget}_subset-{subset}.json",
    log:
        "results/{experiment}/splits/labeled-{budget}_subset-{subset}.log",
    # Seconds, and few of them: not worth a place in a cluster's queue.
    localrule: True
    conda:
        "../envs/ssl_methods.yaml"
    params:
        rests_on=GRID.rests_on("split"),
    message:
        "Draw the labeled cases: {wildcards.budget}, subset {wildcards.subset}"
    shell:
        "exec python -m ssl_methods split results/{wildcards.experiment}/experiment.yaml --results results"
        " --budget {wildcards.budget} --subset {wildcards.subset}"
        " > {log} 2>&1"
