"""One colour, marker and name per method, in all figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from ssl_methods.analysis.tables import in_order, roles
from ssl_methods.reporting.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LIGHT_GREY,
    OCHRE,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
)


class Look(NamedTuple):
    """What stands for a method: its colour and marker."""

    colour: str
    marker: str


FIXED = {
    # no unlabeled images
    "supervised": Look(GREY, "o"),
    "supervised_all": Look(BLACK, "s"),
    # an averaged teacher
    "mean_teacher": Look(ORANGE, "s"),
    "ua_mt": Look(ORANGE, "v"),
    "ict": Look(ORANGE, "P"),
    # level sets
    "level_set_only": Look(GREEN, "o"),
    "sdf_multitask": Look(GREEN, "^"),
    "sassnet": Look(GREEN, "X"),
    "multi_task_consistency": Look(GREEN, "h"),
    "dtc": Look(BLUE, "D"),
    "dtc_supervised": Look(BLUE, "d"),
    # several networks
    "cps": Look(VERMILION, "o"),
    "deep_co_training": Look(VERMILION, "s"),
    "cross_teaching": Look(VERMILION, "^"),
    "r_drop": Look(VERMILION, "D"),
    # several decoders or scales
    "cct": Look(PURPLE, "o"),
    "mc_net": Look(PURPLE, "s"),
    "mc_net_plus": Look(PURPLE, "P"),
    "urpc": Look(PURPLE, "v"),
    # the distribution of the output
    "entropy_minimization": Look(SKY, "o"),
    "dan": Look(SKY, "X"),
    # pseudo-labels and mixed images
    "fixmatch": Look(OCHRE, "o"),
    "mixmatch": Look(OCHRE, "s"),
    "bcp": Look(OCHRE, "D"),
    # controls
    "mean_shape": Look(LIGHT_GREY, "P"),
    "empty": Look(LIGHT_GREY, "X"),
}
OTHERS = (VERMILION, PURPLE, SKY, BLACK, OCHRE)
OTHER_MARKERS = ("<", ">", "p", "8", "H", "d")

NAMES = {
    "supervised": "Supervised",
    "supervised_all": "Supervised (all labels)",
    "mean_teacher": "Mean teacher",
    "ua_mt": "UA-MT",
    "ict": "ICT",
    "level_set_only": "Level set only",
    "sdf_multitask": "SDF multitask",
    "sassnet": "SASSNet",
    "multi_task_consistency": "Multi-task consistency",
    "dtc": "DTC",
    "dtc_supervised": "DTC (supervised)",
    "cps": "CPS",
    "deep_co_training": "Deep co-training",
    "cross_teaching": "Cross teaching",
    "r_drop": "R-Drop",
    "cct": "CCT",
    "mc_net": "MC-Net",
    "mc_net_plus": "MC-Net+",
    "urpc": "URPC",
    "entropy_minimization": "Entropy minimization",
    "dan": "DAN",
    "fixmatch": "FixMatch",
    "mixmatch": "MixMatch",
    "bcp": "BCP",
    "mean_shape": "Mean shape",
    "empty": "Empty",
}

TUNED = "_tuned"
"""Ends the name of a row with the settings that a study found: `dtc_tuned` is 'DTC (tuned)'."""

DASHES = {"bound": "--", "method": "-", "control": ":"}
"""How the line of a role is drawn."""


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method; those without a fixed one take theirs in alphabetical order."""
    names = list(dict.fromkeys(methods))
    tuned = {name: name.removesuffix(TUNED) for name in names if name.endswith(TUNED)}
    if tuned:  # the colour of what was tuned, and a star
        found = looks([*(name for name in names if name not in tuned), *tuned.values()])
        found |= {name: Look(found[base].colour, "*") for name, base in tuned.items()}
        return {name: found[name] for name in names}
    free = [
        Look(OTHERS[i % len(OTHERS)], OTHER_MARKERS[i % len(OTHER_MARKERS)])
        for i in range(len([name for name in names if name not in FIXED]))
    ]
    others = dict(zip(sorted(name for name in names if name not in FIXED), free, strict=True))
    return {name: FIXED.get(name) or others[name] for name in names}


def label(method: str) -> str:
    """The method's name as figures write it."""
    base = method.removesuffix(TUNED)
    return NAMES.get(base, base) + (" (tuned)" if method != base else "")


def methods_of(frame: pd.DataFrame) -> dict[str, str]:
    """Each method and its role: upper bounds first, controls last, else as they come."""
    frame = in_order(frame.drop_duplicates("method"))  # of 200,000 rows 25 are left to sort
    return dict(zip(frame["method"], roles(frame), strict=True))
