"""UniMatch: strong views of an image, and its perturbed features, say what the plain image says.

Yang, Qi, Feng, Zhang, Shi, "Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic
Segmentation", CVPR 2023. p is the prediction for an unlabeled image, without gradient; s1 and s2
are those for two strong views, in each of which a box shows another image, as does the box of its
target; f is decoded from the image's features, each level without half of its channels. D(q, p) is
the Dice loss of q against [p > 0.5] where max(p, 1 - p) >= confidence, 0 where it nowhere is:

    L = L_supervised + lambda(t) * (D(s1, p1) / 4 + D(s2, p2) / 4 + D(f, p) / 2)

p1, p2: p outside the box, in it the prediction for the other image in evaluation mode. Defaults:
confidence 0.95, dropout 0.5 (both codes), weight 1 (the code's, of the sum), strength 1 (chosen
here).

Deviations
- Code (`more-scenarios/medical`, 2D): half of the sum, no warm-up, Dice of the background too;
  12 + 12 slices; rate (1 - t/t_max)^0.9: `as_released`, whose batch in 3D is the experiment's own.
- Code: boxes show images of a second unlabeled batch; here each the one before it in its batch.
- Code: a box's aspect and place are drawn until it lies within the image, so long ones are rarer.
- Code: a strong view has brightness and contrast changed (probability 0.8) and is blurred (0.5);
  here the changes of `fixmatch` but its cuboid. Weak views there turn by up to 20 degrees too.
- Code: classes exclude one another; so here with `network.classes: exclusive`.
- Code: evaluates, and chooses the epoch, on the validation and test lists together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_methods.config import TrainingConfig, setting
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.boxed_views import BoxedViewsConfig, boxed_views
from ssl_methods.methods.parts.confident import confident_dice
from ssl_methods.methods.parts.feature_noise import with_fewer_channels
from ssl_methods.methods.parts.modes import evaluating
from ssl_methods.networks import EncoderDecoder


class UniMatchConfig(BoxedViewsConfig):
    """Settings of UniMatch."""

    as_released = {"ce_weight": 0.25, "dice_weight": 0.25, "dice_over": "both"}
    as_released |= {"weight": 0.5, "ramp": "constant"}

    confidence: float = setting(
        0.95, "least probability of a pseudo-label", source="UniMatch code: 0.95", ge=0.5, lt=1
    )
    dropout: float = setting(
        0.5, "fraction of the features' channels that is dropped", source="code", ge=0, lt=1
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """The rate falls as (1 - t/t_max)^0.9; 12 + 12 patches if they are slices."""
        loop = {"learning_rate_schedule": "poly", "learning_rate_power": 0.9}
        if len(training.patch_size) == 2:
            loop |= {"labeled_batch": 12, "unlabeled_batch": 12}
        return super().released_training(training).model_copy(update=loop)


class UniMatch(Method):
    """One network; each unlabeled image is seen plain, twice changed, and by fewer features."""

    title, family, marker = "UniMatch", "pseudo-labels", "^"
    Config = UniMatchConfig
    uses_unlabeled = True
    least_patches = 2
    config: UniMatchConfig

    def __init__(self, config: UniMatchConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network: EncoderDecoder = make_network.in_parts()

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        config, labeled, images = self.config, len(batch.labels), batch.unlabeled_images
        if not self.wants_unlabeled or not len(images):
            (logits,) = self.network(batch.labeled_images)
            return self.segmentation_terms(logits, batch.labels)
        with torch.no_grad(), evaluating(self.network):
            others = self.classes.probability(self.network(images)[0]).roll(1, 0)
        plain, fewer = with_fewer_channels(self.network, self.images(batch), [config.dropout])
        guess = self.classes.probability(plain[labeled:].detach())

        views, *boxes = boxed_views(images, config.strength)
        s1, s2 = self.network(views)[0].chunk(2)
        p1, p2 = (torch.where(box, others, guess) for box in boxes)
        value, weight = (self.taught(s1, p1) + self.taught(s2, p2)) / 2, weight_at(config, progress)

        terms = self.segmentation_terms(plain[:labeled], batch.labels)
        terms["strong_views"] = Term(value, weight / 2)
        terms["fewer_features"] = Term(self.taught(fewer[labeled:], guess), weight / 2)
        return terms

    def taught(self, logits: Tensor, guess: Tensor) -> Tensor:
        """Dice of a view's prediction against a guess, where that is confident."""
        return confident_dice(
            self.config, logits, guess, self.config.confidence, classes=self.classes
        )
