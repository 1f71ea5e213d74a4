# Test cases are read here and nowhere else.


rule evaluate:
    input:
        f"{RUN}/model.pt",
    output:
        f"{RUN}/cases.csv",  # written last
    log:
        f"{RUN}/evaluate.log",
    # Before more runs are trained: a run keeps its last checkpoint until it is evaluated.
    priority: 1
    conda:
        "../envs/ssl_methods.yaml"
    threads: TRAINING.cpu_threads
    resources:
        gpu=GPUS,
    params:
        rests_on=of_run("evaluate"),
    message:
        "Evaluate {wildcards.method}: {wildcards.budget} labeled, subset {wildcards.subset}, seed {wildcards.seed}"
    shell:
        "exec python -m ssl_methods evaluate results/{wildcards.experiment}/experiment.yaml --results results"
        " --method {wildcards.method} --budget {wildcards.budget}"
        " --subset {wildcards.subset} --seed {wildcards.seed}"
        " > {log} 2>&1"
