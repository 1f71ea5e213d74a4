"""The largest connected component of a mask: what remains of a prediction once its specks are gone.

Computed on the CPU, so masks on a GPU are fetched and sent back: the one place where a step waits
for the device.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor


def largest_component(mask: Tensor) -> Tensor:
    """Per image and class, the largest component of a mask (N, K, *spatial), bool; same shape.

    Neighbours share a face, an edge or a corner, as in the BCP code. Of components of equal size
    the first in memory order is kept. An empty mask stays empty.
    """
    masks = mask.cpu().numpy()
    kept = np.zeros_like(masks)
    structure = ndimage.generate_binary_structure(mask.ndim - 2, mask.ndim - 2)
    for index in np.ndindex(masks.shape[:2]):
        components, count = ndimage.label(masks[index], structure)
        if count:
            sizes = np.bincount(components.ravel())[1:]
            kept[index] = components == sizes.argmax() + 1
    return torch.from_numpy(kept).to(mask.device)
