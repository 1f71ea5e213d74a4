# From the measurements of all runs to tables, figures and one page.


rule collect:
    input:
        GRID.manifest,
        GRID.measurements(),
    output:
        GRID.tables,
    log:
        f"{GRID.home}/tables/collect.log",
    benchmark:
        f"{GRID.home}/tables/collect.tsv"
    conda:
        "../envs/ssl_methods.yaml"
    params:
        rests_on=GRID.rests_on("collect"),
    message:
        "Gather the measurements into tables"
    shell:
        f"exec python -m ssl_methods collect {GRID.declaration} --results results"
        " > {log} 2>&1"


rule report:
    input:
        GRID.manifest,
        GRID.tables,
    output:
        report(GRID.report, caption="../report/page.rst", category="Results"),
    log:
        f"{GRID.home}/report.log",
    benchmark:
        f"{GRID.home}/report.tsv"
    conda:
        "../envs/ssl_methods.yaml"
    params:
        rests_on=GRID.rests_on("report"),
    message:
        "Draw the figures and write {output}"
    shell:
        f"exec python -m ssl_methods report {GRID.declaration} --results results"
        " > {log} 2>&1"
