# What is decided while an experiment runs: which subsets are compared in a second phase, and at each declared
# look whether more of them are needed. Budgets without either have no job here.


# The levels of the baseline, on labeled training cases, are beside its measurements.
checkpoint choose:
    input:
        lambda wildcards: GRID.of_the_baseline(wildcards.budget),
    output:
        f"{GRID.home}/splits/labeled-{{budget}}_compared.json",
    log:
        f"{GRID.home}/splits/labeled-{{budget}}_compared.log",
    localrule: True
    conda:
        "../envs/ssl_methods.yaml"
    params:
        rests_on=lambda wildcards: GRID.rests_on("choose", wildcards.budget),
    message:
        "Choose the subsets that are compared: {wildcards.budget} labeled"
    shell:
        f"exec python -m ssl_methods choose {GRID.declaration} --results results"
        " --budget {wildcards.budget} > {log} 2>&1"


checkpoint look:
    input:
        up_to_the_look,
    output:
        f"{GRID.home}/looks/labeled-{{budget}}_subsets-{{size}}.json",
    log:
        f"{GRID.home}/looks/labeled-{{budget}}_subsets-{{size}}.log",
    localrule: True
    conda:
        "../envs/ssl_methods.yaml"
    params:
        rests_on=GRID.rests_on("look"),
    message:
        "Look at {wildcards.size} subsets: {wildcards.budget} labeled"
    shell:
        f"exec python -m ssl_methods look {GRID.declaration} --results results"
        " --budget {wildcards.budget} --subsets {wildcards.size} > {log} 2>&1"


# Of a budget's looks the one that decided, or the last; and the runs that no look waits for.
rule settle:
    input:
        look=last_look,
        others=lambda wildcards: GRID.of_no_look(wildcards.budget),
    output:
        f"{GRID.home}/looks/labeled-{{budget}}.json",
    log:
        f"{GRID.home}/looks/labeled-{{budget}}.log",
    localrule: True
    conda:
        "../envs/ssl_methods.yaml"
    message:
        "The last look is made: {wildcards.budget} labeled"
    shell:
        "cp {input.look} {output} 2> {log}"
