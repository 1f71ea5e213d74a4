"""The distance transform against scipy's, and the signed distance against its released form.

CPU seconds on one core, one patch of the paper's size with a simulated left atrium in it.
"""

from __future__ import annotations

import time
from statistics import median

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from benchmarks.atria import Mask, atrium
from benchmarks.timing import alternate, arguments, ratio, show
from ssl_methods.level_set import signed_distance


def released(mask: Mask) -> NDArray[np.float64]:
    """How the released training step computes its target, restated: scipy's transform inside and
    outside, each divided by its range, and 0 on the inner contour."""
    outside, inside = distance_transform_edt(~mask), distance_transform_edt(mask)
    level_set = (outside - outside.min()) / np.ptp(outside)
    level_set -= (inside - inside.min()) / np.ptp(inside)
    level_set[mask & ~binary_erosion(mask, border_value=1)] = 0
    return level_set


def main() -> None:
    options = arguments(__doc__, rounds=9)
    patch = np.ascontiguousarray(atrium()[40:152, 14:126, 4:84])
    pairs = {
        "distance transform": (
            lambda: distance_transform_edt(~patch),
            lambda: edt.edt(~patch, black_border=False, parallel=1),
        ),
        "signed distance": (lambda: released(patch), lambda: signed_distance(patch)),
    }
    rows = []
    for name, (theirs, ours) in pairs.items():
        difference = float(np.abs(theirs() - ours()).max())
        if difference > 1e-5:
            raise SystemExit(f"{name}: the values differ by {difference}")
        seconds = alternate({"theirs": theirs, "ours": ours}, options.rounds, time.process_time)
        rows.append(
            {
                "what": name,
                "voxels": "x".join(map(str, patch.shape)),
                "scipy, s": median(seconds["theirs"]),
                "ours, s": median(seconds["ours"]),
                "scipy / ours": ratio(seconds["theirs"], seconds["ours"]),
                "largest difference": difference,
            }
        )
    show(rows, options.json)


if __name__ == "__main__":
    main()
