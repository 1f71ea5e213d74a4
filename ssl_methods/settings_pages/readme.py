"""The table of methods in the project's README: what they have in common, and their papers."""

from __future__ import annotations

from ssl_methods import methods
from ssl_methods.analysis.bibliography import papers
from ssl_methods.settings_pages.pages import packaged

FAMILIES = {
    "tasks that must agree": ("dtc", "dtc_supervised", "multi_task_consistency", "sdf_multitask",
                              "level_set_only"),
    "a teacher": ("mean_teacher", "ua_mt", "ict", "bcp"),
    "agreement of decoders, scales or passes": ("cct", "mc_net", "urpc", "r_drop"),
    "two networks": ("cps", "cross_teaching", "deep_co_training"),
    "pseudo-labels and certainty": ("fixmatch", "mixmatch", "entropy_minimization"),
    "a discriminator": ("dan", "sassnet"),
    "what they are measured against": ("supervised", "supervised_all", "mean_shape", "empty"),
}  # fmt: skip
ROLES = {"bound": "upper bound", "control": "control"}


def methods_table() -> str:
    """A row for each family: its methods, each with its papers or with its role."""
    placed = {name for names in FAMILIES.values() for name in names}
    others = tuple(name for name in packaged() if name not in placed)
    lines = ["| | methods |", "|---|---|"]
    for family, names in {**FAMILIES, "others": others}.items():
        if names:
            lines.append(f"| {family} | {', '.join(map(_cited, names))} |")
    return "\n".join(lines) + "\n"


def _cited(name: str) -> str:
    said = [ROLES[role]] if (role := methods.method_class(name).role) in ROLES else []
    said += [entry.short for entry in papers(name)]
    return f"`{name}` ({'; '.join(said)})" if said else f"`{name}`"
