# Test cases are read here and nowhere else.


rule evaluate:
    input:
        MANIFEST,
        f"{RUN}/run.yaml",
        f"{RUN}/model.pt",
    output:
        [f"{RUN}/{name}" for name in MEASURED],
    log:
        f"{RUN}/evaluate.log",
    benchmark:
        f"{RUN}/evaluate.tsv"
    conda:
        "../envs/ssl_methods.yaml"
    threads: experiment.training.cpu_threads
    resources:
        gpu=1,
    params:
        settings=evaluation_settings,
        sources=evaluation_sources,
    message:
        "Evaluate {wildcards.method}: {wildcards.budget} labeled, subset {wildcards.subset}, seed {wildcards.seed}"
    shell:
        "python -m ssl_methods evaluate results/{wildcards.experiment}/experiment.yaml --results results"
        " --method {wildcards.method} --budget {wildcards.budget}"
        " --subset {wildcards.subset} --seed {wildcards.seed}"
        " > {log} 2>&1"
