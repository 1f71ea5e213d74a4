"""Two strong views of each unlabeled image, with a box in each that shows the image before it."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_methods.config import RampedConfig, setting
from ssl_methods.methods.parts.boxes import area_boxes
from ssl_methods.methods.parts.strong_augmentation import other_intensities


class BoxedViewsConfig(RampedConfig):
    """Settings of a method that has boxed views."""

    strength: float = setting(
        1.0, "strength of the change of intensities", source="chosen here", ge=0, le=1
    )


def boxed_views(images: Tensor, strength: float) -> tuple[Tensor, Tensor, Tensor]:
    """The first views, then the second, (2 N, C, *spatial); the boxes of each, (N, 1, *spatial).

    What is guessed of a view is ``torch.where(box, others, guess)`` of what is guessed of the plain
    images, where ``others`` is ``.roll(1, 0)``, for the images before.

    Args:
        images: (N, C, *spatial); a single one is seen in its own box.
        strength: of the change of intensities, 0 to 1.
    """
    boxes = area_boxes(images), area_boxes(images)
    views = []
    for box in boxes:
        strong = other_intensities(images, strength)
        views.append(torch.where(box, strong.roll(1, 0), strong))
    return torch.cat(views), *boxes
