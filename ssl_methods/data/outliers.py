"""Cases that are far from all others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ssl_methods.data.cases import PreparedCase

# How often as large or small as the median, at least, and how many robust standard deviations.
FAR_SIZE, FAR_VOLUME, FAR_INTENSITY = 2.0, 3.0, 5.0
DEVIATIONS = 5.0


def outliers(cases: Sequence[PreparedCase], classes: Sequence[str]) -> list[str]:
    """One line for each case whose voxels, extent, intensities or volumes are unusual."""
    lines: dict[str, list[str]] = defaultdict(list)

    def compare(
        values: dict[str, float], factor: float, what: str, unit: str, lines: dict[str, list[str]]
    ) -> None:
        usual = float(np.median(list(values.values()))) if values else 0.0
        for case_id in far(values, factor):
            lines[case_id].append(f"{what} {values[case_id]:.3g}{unit}, usually {usual:.3g}{unit}")

    known = cases[0].record.spacing is not None  # of all or none
    for place, what in ((0, "smallest"), (-1, "largest")):
        spacings = {it.record.id: sorted(it.source_spacing or ())[place] for it in cases if known}
        compare(spacings, FAR_SIZE, f"{what} voxel side", " mm", lines)
        extents = {
            it.record.id: sorted(np.multiply(it.source_shape, it.source_spacing or 1))[place]
            for it in cases
        }
        unit = " mm" if known else " voxels"
        compare(extents, FAR_SIZE, f"{what} side of the volume", unit, lines)
    for channel in range(cases[0].channels):
        name = f" of channel {channel}" if cases[0].channels > 1 else ""
        ranges = {
            it.record.id: it.intensities[channel][2] - it.intensities[channel][0] for it in cases
        }
        compare(ranges, FAR_INTENSITY, f"range of intensities{name}", "", lines)
        middles = {it.record.id: it.intensities[channel][1] for it in cases}
        centre, width = (float(np.median(list(it.values()))) for it in (middles, ranges))
        for case_id, middle in middles.items():
            if len(cases) > 2 and abs(middle - centre) > FAR_INTENSITY * width:
                lines[case_id].append(f"median intensity{name} {middle:.4g}, usually {centre:.4g}")
    for number, name in enumerate(classes):
        volumes = {
            it.record.id: it.record.foreground_voxels[number]
            * float(np.prod(it.record.spacing or 1))
            for it in cases
            if it.record.foreground_voxels and it.record.foreground_voxels[number]
        }
        power = f" mm{len(cases[0].record.shape)}" if known else " voxels"
        compare(volumes, FAR_VOLUME, f"'{name}' has", power, lines)
    return [f"case '{case_id}': {'; '.join(found)}" for case_id, found in lines.items()]


def far(values: dict[str, float], factor: float) -> list[str]:
    """The ids whose positive value is ``factor`` times the median or more, or as much less.

    They also lie beyond five robust standard deviations, in logarithms: a data set that varies much
    has few of them.
    """
    if len(values) < 3 or min(values.values()) <= 0:
        return []
    logs = np.log(list(values.values()))
    apart = np.abs(logs - np.median(logs))
    bound = max(np.log(factor), DEVIATIONS * 1.4826 * float(np.median(apart)))
    return [case_id for case_id, distance in zip(values, apart, strict=True) if distance > bound]
