# From the measurements of all runs to tables, figures and one page.


rule collect:
    input:
        MANIFEST,
        of_every_run("cases.csv"),
    output:
        TABLES,
    log:
        f"{HOME}/tables/collect.log",
    benchmark:
        f"{HOME}/tables/collect.tsv"
    conda:
        "../envs/ssl_methods.yaml"
    params:
        experiment=EXPERIMENT,
        settings=digest(experiment.model_dump(mode="json")),
        beside=beside_the_runs(),
        sources=source_digest("collect"),
    message:
        "Gather the measurements into tables"
    shell:
        "python -m ssl_methods collect {params.experiment} --out results > {log} 2>&1"


rule report:
    input:
        MANIFEST,
        TABLES,
    output:
        report(REPORT, caption="../report/page.rst", category="Results"),
    log:
        f"{HOME}/report.log",
    benchmark:
        f"{HOME}/report.tsv"
    conda:
        "../envs/ssl_methods.yaml"
    params:
        experiment=EXPERIMENT,
        settings=digest(experiment.model_dump(mode="json")),
        sources=source_digest("report"),
    message:
        "Draw the figures and write {output}"
    shell:
        "python -m ssl_methods report {params.experiment} --out results > {log} 2>&1"
