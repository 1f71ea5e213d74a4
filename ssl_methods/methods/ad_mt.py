"""AD-MT: two averaged teachers take turns, and the student settles where they disagree.

Zhao, Wang, Wang, Yuan, Zhou, "Alternate Diverse Teaching for Semi-supervised Medical Image
Segmentation", ECCV 2024. The teachers predict p and q for the plain image: the one whose turn it is
in training mode (and it is averaged then), the other in evaluation mode. H: entropy in bits.

    g = (exp(-H(p)) p + exp(-H(q)) q) / (exp(-H(p)) + exp(-H(q)))
    L = L_supervised + lambda(t) * mean over sure voxels of CE(f(x'), [g' > 0.5])

g' is the student's prediction for the plain image where the teachers disagree on the class, it has
another than g, and is surer; else g. Sure: max(g', 1 - g') >= confidence. In turns of the first x'
has other intensities; in those of the second a box of x', and of all guesses, is of another image.
Defaults: those of the code for the left atrium, strength 1 (chosen here).

Deviations
- Code: Dice of the background too; the weight rises in 40 steps over 6000 of 15000 iterations, rate
  (1 - t/t_max)^0.9; the student's prediction for g' is not mixed in the box: `as_released`.
- Code: teachers begin with weights of their own, here with the student's. In both a teacher whose
  turn it is copies the student for 80 of 15000 iterations.
- Code: NaN where no voxel is sure, here 0. No turn is longer than a quarter of the run here.
- Code: brightness and contrast (probability 0.8) and noise (0.2); here the changes of `unimatch`.
- Its 2D code has the Dice loss and confidence 0.95: not followed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_methods.config import largest_weight, setting
from ssl_methods.losses import cross_entropies
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.boxed_views import BoxedViewsConfig
from ssl_methods.methods.parts.boxes import beta_boxes
from ssl_methods.methods.parts.confident import mean_over
from ssl_methods.methods.parts.modes import evaluating
from ssl_methods.methods.parts.ssl4mis import SSL4MISConfig
from ssl_methods.methods.parts.strong_augmentation import other_intensities
from ssl_methods.methods.parts.teacher import Teacher
from ssl_methods.methods.parts.turns import first_in_turn


class ADMTConfig(SSL4MISConfig, BoxedViewsConfig):
    """Settings of alternate diverse teaching, whose code is trained as SSL4MIS is."""

    as_released = {"dice_over": "both", "ramp": "stepwise", "ramp_fraction": 0.4, "alike": False}

    weight: float = largest_weight(2.0, "code: 2")
    decay: float = setting(0.99, "EMA decay of the teachers", source="code: 0.99", ge=0, lt=1)
    confidence: float = setting(
        0.8, "least probability of a pseudo-label", source="code: 0.8", ge=0.5, lt=1
    )
    turn: int = setting(19, "largest number of steps of a turn", source="code: 19 (LA)", ge=1)
    alike: bool = setting(
        True, "whether the student's prediction is mixed as the image is", source="code: false"
    )


class ADMT(Method):
    """A student, which predicts, and two teachers."""

    title, family, marker = "AD-MT", "averaged teacher", "D"
    Config = ADMTConfig
    uses_unlabeled = True
    least_patches = 2
    config: ADMTConfig

    def __init__(self, config: ADMTConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.first = Teacher(self.network, config.decay, statistics=True)
        self.second = Teacher(self.network, config.decay, statistics=True)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        config, labeled, images = self.config, len(batch.labels), batch.unlabeled_images
        if not self.wants_unlabeled or not len(images):
            (logits,) = self.network(batch.labeled_images)
            return self.segmentation_terms(logits, batch.labels)
        first = self.turn_of_first(progress)
        guess, disagree = self.guess(images, first)
        box, other = beta_boxes(images), torch.randperm(len(images), device=images.device)

        def mixed(values: Tensor) -> Tensor:
            return torch.where(box, values[other], values)

        view = other_intensities(images, config.strength) if first else mixed(images)
        (logits,) = self.network(torch.cat([self.images(batch), view]))
        known, plain, learns = logits.split([labeled, len(images), len(images)])
        own = self.classes.probability(plain.detach())
        if not first:
            guess, disagree = mixed(guess), mixed(disagree)
            own = mixed(own) if config.alike else own
        surer = self.classes.sureness(own) > self.classes.sureness(guess)
        target = torch.where(disagree & surer & self.classes.differ(own, guess), own, guess)
        each = cross_entropies(learns, self.classes.likeliest(target), self.classes)
        value = mean_over(each, self.classes.sureness(target) >= config.confidence)
        terms = self.segmentation_terms(known, batch.labels)
        return terms | {"pseudo_label": Term(value, weight_at(config, progress))}

    @torch.no_grad()
    def guess(self, images: Tensor, first: bool) -> tuple[Tensor, Tensor]:
        """What the teachers say together, (N, K, *spatial), and where their classes differ."""
        with evaluating(self.second if first else self.first):
            z = [teacher(images)[0] for teacher in (self.first, self.second)]
        p, q = map(self.classes.probability, z)
        h, k = (self.classes.entropy(x) / math.log(2) for x in (p, q))
        return q.lerp(p, (k - h).sigmoid()), self.classes.differ(p, q)

    def turn_of_first(self, progress: Progress) -> bool:
        longest = max(1, min(self.config.turn, progress.t_max // 4))
        return first_in_turn(progress.t, progress.t_max, longest)

    def after_step(self, progress: Progress) -> None:
        if self.wants_unlabeled:
            n = max(progress.t - round(progress.t_max * 80 / 15000), 0) // 2
            teacher = self.first if self.turn_of_first(progress) else self.second
            teacher.average(self.network, min(1 - 1 / (n + 1), self.config.decay))
