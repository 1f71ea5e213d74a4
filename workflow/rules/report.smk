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
        rests_on=rests_on.tables(experiment, Path("results")),
    message:
        "Gather the measurements into tables"
    shell:
        f"python -m ssl_methods collect {EXPERIMENT} --results results" " > {log} 2>&1"


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
        rests_on=rests_on.report(experiment),
    message:
        "Draw the figures and write {output}"
    shell:
        f"python -m ssl_methods report {EXPERIMENT} --results results" " > {log} 2>&1"
