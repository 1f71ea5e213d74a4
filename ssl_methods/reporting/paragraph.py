"""The methods paragraph of a paper: what was done, from the settings and records of the runs.

It holds no result. Citations are keys of ``tables/references.bib``, ready for LaTeX, or names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ssl_methods.analysis.bibliography import bibliography, papers
from ssl_methods.analysis.comparisons import in_a_paper
from ssl_methods.analysis.latex import escape
from ssl_methods.analysis.names import label
from ssl_methods.analysis.shown import listed, rounded_more
from ssl_methods.analysis.tables import overall
from ssl_methods.config import Experiment, MethodConfig, TrainingConfig
from ssl_methods.measures import compared as by_metric
from ssl_methods.reporting.looks import methods_of
from ssl_methods.reporting.results import Results

CITED = re.compile(r" ?\[\[(.*?)\]\]")
SHARED = set(MethodConfig.model_fields)


def in_words(text: str) -> str:
    """Citations as '(Luo et al., 2021)'."""

    def named(match: re.Match[str]) -> str:
        return f" ({'; '.join(bibliography()[key].short for key in match[1].split(','))})"

    return CITED.sub(named, text)


def in_latex(text: str) -> str:
    r"""Citations as ``~\cite{luo2021dtc}``."""
    cited = CITED.sub(r"~\\cite{\1}", escape(text))
    return cited.replace(" \N{MULTIPLICATION SIGN} ", r" $\times$ ")


def paragraph(found: Results) -> str:
    """The sentences, with citations as ``[[key,key]]``."""
    return " ".join([*compared(found), *trained(found), *measured(found), *computed(found)])


def cite(name: str) -> str:
    keys = ",".join(entry.key for entry in papers(name))
    return f" [[{keys}]]" if keys else ""


def compared(found: Results) -> list[str]:
    """Which methods, on what data, with how many labels."""
    experiment, kinds = found.experiment, methods_of(found.runs)
    names = {
        role: [
            f"{label(name)}{cite(experiment.methods[name].method)}"
            for name, kind in kinds.items()
            if kind == role
        ]
        for role in ("method", "bound", "control")
    }
    counts = overall(found.summary).dropna(subset=["labeled"]).drop_duplicates("budget")
    labeled = [
        f"{row['labeled']:.0f} labeled and {row['unlabeled']:.0f} unlabeled"
        for _, row in counts.sort_values("labeled").iterrows()
    ]
    text = []
    if names["method"]:
        text.append(f"We compared {listed(names['method'])} on {experiment.dataset.name}.")
    if names["bound"]:
        text.append(f"Upper bound, trained on every label: {listed(names['bound'])}.")
    if names["control"]:
        text.append(f"Controls, trained on no image: {listed(names['control'])}.")
    subsets, seeds = len(experiment.subsets), len(experiment.seeds)
    if labeled:
        text.append(f"Training cases were {listed(labeled)}.")
    text.append(
        f"{chosen(experiment, subsets)}, the same for every method, and each such subset was "
        f"trained {times(seeds)}."
    )
    return [*text, *prepared(found)]


def chosen(experiment: Experiment, subsets: int) -> str:
    """How the labeled cases came to be chosen, without a full stop."""
    if experiment.labeled_cases == "first":
        return "The labeled cases were the first in the order of the source"
    if experiment.labeled_cases == "drawn":
        return f"The labeled cases were drawn at random {times(subsets)}"
    said = (
        "The labeled cases were blocks of a random order of the training cases, "
        f"{subsets} labeled {'subset' if subsets == 1 else 'subsets'} in all"
    )
    if any(it.compared for it in experiment.phases.values()):
        said += (
            "; the baseline was trained on all of them, other methods on some that spread evenly "
            "over its level on labeled training cases outside the subset"
        )
    return said


def prepared(found: Results) -> list[str]:
    """How images were prepared."""
    dataset = found.experiment.dataset
    text = []
    if dataset.spacing:
        text.append(f"Images were resampled to {sizes(dataset.spacing)} mm.")
    if dataset.clip_values:
        text.append(f"Intensities were clipped to {between(dataset.clip_values)}.")
    if dataset.clip_percentiles:
        text.append(
            "Intensities were clipped to the percentiles "
            f"{between(dataset.clip_percentiles)} of each image."
        )
    text.append(
        {
            "zscore": "Intensities were scaled to zero mean and unit variance per image.",
            "percentile": "What lay between these percentiles was mapped to 0..1.",
            "window": "What lay between these values was mapped to 0..1.",
            "none": "Intensities were taken as they are.",
        }[dataset.normalisation]
    )
    if dataset.crop == "nonzero":
        text.append("Scans were cropped to the bounding box of what is not zero.")
    if dataset.crop_used_label:
        text.append("Scans were cropped with the help of the reference label, test scans too.")
    return text


def between(pair: tuple[float, float]) -> str:
    """'1 and 99'"""
    return f"{pair[0]:g} and {pair[1]:g}"


def trained(found: Results) -> list[str]:
    """Network, loop, and the settings of each method."""
    experiment = found.experiment
    net, loop = experiment.network, experiment.training
    if net.name.startswith("monai:"):
        network = f"the network {net.name.removeprefix('monai:')} of MONAI"
    else:
        name = {"vnet": "V-Net", "unet": "U-Net"}[net.name]
        network = f"a {name}{cite('network:' + net.name)} with {net.width} filters at full"
        network += f" resolution, {net.levels} resolutions and dropout {net.dropout:g}"
    text = [
        f"Every method used {network}, trained for {loop.iterations} iterations of "
        f"{optimiser(loop)} on patches of "
        f"{sizes(loop.patch_size)} voxels, {loop.labeled_batch} labeled and "
        f"{loop.unlabeled_batch} unlabeled in a step."
    ]
    released = [
        label(name) for name, choice in experiment.methods.items() if choice.recipe == "as_released"
    ]
    if released:
        text.append(
            "Loss, batch, schedule and augmentation as in the authors' code, in float32 without "
            f"TF32: {listed(released)}."
        )
    own = {}
    for run, record in found.records("run.yaml"):
        settings = record.get("method_settings", {})
        unused = set() if settings.get("ramp") == "stepwise" else {"ramp_steps", "ramp_start"}
        own[run.name] = {k: v for k, v in settings.items() if k not in SHARED | unused}
    said = [f"{label(name)}: {values(settings)}" for name, settings in own.items() if settings]
    if said:
        text.append(f"Settings of the methods: {'; '.join(said)}.")
    return text


def optimiser(loop: TrainingConfig) -> str:
    """The optimiser with its settings and the schedule of its learning rate."""
    steps = [f"{round(step * loop.iterations)}" for step in loop.learning_rate_steps]
    falls = {
        "steps": f", divided by ten after {listed(steps)}" if steps else "",
        "poly": f" times (1 - t/t_max)^{loop.learning_rate_power:g}",
        "constant": "",
    }[loop.learning_rate_schedule]
    names = {"sgd": "stochastic gradient descent", "adam": "Adam", "adamw": "AdamW"}
    betas = " and ".join(f"{beta:g}" for beta in loop.betas)
    own = f"momentum {loop.momentum:g}" if loop.optimizer == "sgd" else f"betas {betas}"
    return (
        f"{names[loop.optimizer]} (learning rate {loop.learning_rate:g}{falls}, {own}, "
        f"weight decay {loop.weight_decay:g})"
    )


def measured(found: Results) -> list[str]:
    """Evaluation and statistics."""
    tests, baseline = found.measured["case"].nunique(), found.experiment.baseline
    stride = found.experiment.evaluation.stride
    windows = f"every {sizes(stride)} voxels" if stride else "half a patch apart"
    in_full = {"asd_voxel": "average surface distance", "hd95_voxel": "95 % Hausdorff distance"}
    metrics = [in_full.get(name, it.title) for name, it in by_metric(found.measured).items()]
    cases = f"{tests} test cases"
    if found.experiment.test == "rotated":
        cases += ", a fold of them for each labeled subset, of which they were no part,"
    return [
        f"The last checkpoint was evaluated on {cases} with sliding windows {windows} "
        f"and without post-processing, by {listed(metrics)}. An empty prediction counts as a "
        "failure, with the volume's diagonal as its distance.",
        f"Each method was compared with {label(baseline)}. {in_a_paper(found.design)}",
    ]


def computed(found: Results) -> list[str]:
    """Software and devices, as the runs record them."""
    records = [record for _, record in found.records("provenance.json")]
    found_versions = {
        f"{title} {record['versions'][name]}"
        for record in records
        for name, title in (("ssl-methods", "ssl-methods"), ("torch", "PyTorch"))
        if name in record.get("versions", {})
    }
    devices = sorted({str(record["device"]) for record in records if record.get("device")})
    if not found_versions:
        return []
    on = f" on {listed(devices)}" if devices else ""
    precisions = sorted({str(r["precision"]) for r in records if r.get("precision")})
    text = [f"Computed with {listed(sorted(found_versions, key=str.lower))}{on}."]
    if precisions:
        text.append(f"Training was in {listed(precisions)}, evaluation in float32.")
    text += [
        f"Of {listed(map(label, names))}, {own} rounds the gradient of a loss term by more than"
        f" the method's own choice, {least}."
        for (own, least), names in rounded_more(found.runs).items()
    ]
    return text


def times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def sizes(values: Iterable[float]) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(f"{value:g}" for value in values)


def values(settings: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in settings.items()
    )
