"""DTC, supervised: dual-task consistency on labeled images alone.

"Seg + LSF + DTC" in the ablation of Luo, Chen, Song, Wang, "Semi-supervised Medical Image
Segmentation through Dual-task Consistency", AAAI 2021, table 1. Between it and `sdf_multitask`
lies what the consistency gives without unlabeled images, between it and `dtc` what they add:

    L = L_segmentation + beta * L_level_set + lambda(t) * mean_l (f1(x) - sigmoid(-k f2(x)))^2

Defaults: those of `dtc`.

Deviations
- Those of `dtc`. It is the loss of `dtc` in a batch without unlabeled images, bit for bit.
- There is no released code for the ablation; that its weight rises as in `dtc` is assumed.
"""

from __future__ import annotations

from ssl_methods.methods.dtc import DTC, DTCConfig


class DTCSupervised(DTC):
    """The network and the loss of `dtc`, which is not shown the unlabeled images."""

    title, family, marker = "DTC (supervised)", "dual task", "d"
    Config = DTCConfig
    uses_unlabeled = False
