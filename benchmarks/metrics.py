"""ASD and 95HD, and every column of `cases.csv`, against MedPy's two calls; values compared.

CPU seconds on one core: what other processes take does not count. The masks are simulated, as large
as a left atrium.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np
from medpy.metric import binary

from benchmarks.atria import HARD, SPACING, atrium, predictions
from benchmarks.timing import alternate, arguments, ratio, show
from ssl_methods.evaluation.metrics import case_metrics
from ssl_methods.evaluation.surfaces import Mask, bounding_box, distances, surface


def asd_and_hd95(prediction: Mask, reference: Mask) -> dict[str, float]:
    """What MedPy's two calls compute, from the parts that `case_metrics` is made of."""
    box = bounding_box(prediction | reference)
    found, true = (surface(np.ascontiguousarray(mask[box])) for mask in (prediction, reference))
    there, back = distances(found, true), distances(true, found)
    pooled = np.percentile(np.concatenate([there, back]), 95)
    return {"asd_voxel": float(there.mean()), "hd95_voxel": float(pooled)}


def main() -> None:
    options = arguments(__doc__, rounds=9)
    reference = atrium()
    rows = []
    for name, prediction in predictions(reference).items():
        found = asd_and_hd95(prediction, reference)
        expected = {
            "asd_voxel": binary.asd(prediction, reference),
            "hd95_voxel": binary.hd95(prediction, reference),
        }
        for metric, value in expected.items():
            if not np.isclose(found[metric], value, rtol=1e-6, atol=0):
                raise SystemExit(f"{name}: {metric} is {found[metric]}, MedPy's {value}")

        def medpy(prediction=prediction) -> None:
            binary.asd(prediction, reference)
            binary.hd95(prediction, reference)

        seconds = alternate(
            {
                "medpy": medpy,
                "two": lambda it=prediction: asd_and_hd95(it, reference),
                "all": lambda it=prediction: case_metrics(it, reference, SPACING),
            },
            options.rounds,
            time.process_time,
        )
        rows.append(
            {
                "prediction": name,
                "kind": "made to be hard" if name in HARD else "as of a network",
                "MedPy, s": median(seconds["medpy"]),
                "ASD and 95HD, s": median(seconds["two"]),
                "all columns, s": median(seconds["all"]),
                "MedPy / ASD and 95HD": ratio(seconds["medpy"], seconds["two"]),
                "MedPy / all columns": ratio(seconds["medpy"], seconds["all"]),
            }
        )
    show(rows, options.json)


if __name__ == "__main__":
    main()
