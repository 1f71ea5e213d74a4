"""BCP: labeled and unlabeled images pasted into each other; a teacher labels the unlabeled part.

Bai, Chen, Li, Shen, Wang, "Bidirectional copy-paste for semi-supervised medical image
segmentation", CVPR 2023. M is 0 in a random cuboid, 1 outside. Stage one: labeled images pasted
into labeled ones. Stage two, of labeled l and unlabeled u:

    x1 = l_a M + u_a (1 - M),   x2 = u_b M + l_b (1 - M)
    L = sum over x1, x2 of L_supervised(region of l) + weight * L_supervised(region of u)

Target on u: the teacher's largest component above 0.5. It is averaged from the end of stage one.

Defaults: those of the BCP code.

Deviations
- Code: Dice of fore- and background, plain sums; decay 0.99 from the copy on; x1 and x2 pass the
  networks apart; batch 4 + 4; the rate falls every 2500 iterations of stage two: `as_released`.
- Code: stage two starts from the best weights on the test set, with a new optimiser; here: goes on.
- Code: stage one pastes half of the batch into the other half, here each image into the next; its
  cuboid never takes the last place of an axis, here it may (1 of 39 or 28 places).
- Weight 0, or no unlabeled images: stage one all along, no teacher.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ssl_methods.config import RampedConfig, TrainingConfig, largest_weight, setting, teacher_decay
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts import copy_paste
from ssl_methods.methods.parts.copy_paste import Mix
from ssl_methods.methods.parts.largest_component import largest_component
from ssl_methods.methods.parts.teacher import Teacher


class BCPConfig(RampedConfig):
    """Settings of bidirectional copy-paste."""

    as_released = {"dice_form": "plain", "dice_over": "both", "decay_ramp": False, "apart": True}

    weight: float = largest_weight(0.5, "BCP code", search=(0.05, 5.0))
    ramp: Literal["gaussian", "stepwise", "constant"] = setting(
        "constant", "how the weight rises; in the BCP code not at all", source="BCP code"
    )
    decay: float = teacher_decay(0.99, "BCP code")
    decay_ramp: bool = setting(
        True, "whether the teacher's decay starts as 0, 1/2, 2/3, ...", source="BCP code: false"
    )
    apart: bool = setting(
        False, "whether the two mixed images pass the networks apart", source="BCP code: true"
    )
    mask_ratio: float = setting(
        2 / 3,
        "side of the pasted cuboid, as a fraction of the patch",
        source="BCP code",
        gt=0,
        lt=1,
    )
    pretraining: float = setting(
        2 / 17, "length of stage one, as a fraction of the run", source="BCP code", ge=0, lt=1
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """4 + 4 patches; the learning rate falls every 2500 iterations of stage two."""
        steps = tuple((2000 + 2500 * n) / 17000 for n in range(1, 6))
        loop = {"labeled_batch": 4, "unlabeled_batch": 4, "learning_rate_steps": steps}
        return super().released_training(training).model_copy(update=loop)


class BCP(Method):
    """A student that sees mixed images and a teacher that labels the unlabeled ones."""

    title, family, marker = "BCP", "pseudo-labels", "D"
    Config = BCPConfig
    uses_unlabeled = True
    least_patches = 2
    config: BCPConfig

    def __init__(self, config: BCPConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.teacher = Teacher(self.network, config.decay, ramped=config.decay_ramp)

    def in_stage_two(self, t: int, t_max: int) -> bool:
        return self.wants_unlabeled and t >= round(self.config.pretraining * t_max)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        images, labels, others = batch.labeled_images, batch.labels, batch.unlabeled_images
        outside = copy_paste.outside_cuboid(images, self.config.mask_ratio)
        if not len(others) or not self.in_stage_two(progress.t, progress.t_max):
            image, label = (copy_paste.paste(x, x.roll(1, 0), outside) for x in (images, labels))
            return self.on_labeled(image, label)
        mixes = copy_paste.both_ways(len(images), len(others), outside)
        guess = self.seen_by(self.teacher, others)
        several = self.classes.exclusive
        likely = self.classes.likeliest_of(guess) > 0 if several else guess >= 0  # p >= 0.5
        guesses = largest_component(likely).float()
        mixed = copy_paste.mixed_images(images, others, mixes)
        return self.on_mixed(mixed, mixes, labels, guesses, weight_at(self.config, progress))

    def on_labeled(self, image: Tensor, label: Tensor) -> LossTerms:
        """Stage one: labeled images pasted into each other."""
        return self.segmentation_terms(self.network(image)[0], label)

    def on_mixed(
        self, mixed: Tensor, mixes: tuple[Mix, Mix], labels: Tensor, guesses: Tensor, weight: float
    ) -> LossTerms:
        """Stage two: labeled and unlabeled images in one, guesses of this weight."""
        logits = self.seen_by(self.network, mixed)
        return copy_paste.both_ways_terms(self, logits, mixes, labels, guesses, weight)

    def seen_by(self, network: nn.Module, images: Tensor) -> Tensor:
        return copy_paste.seen_by(network, images, 1 + self.config.apart)

    def after_step(self, progress: Progress) -> None:
        if self.in_stage_two(progress.t + 1, progress.t_max):  # the first time, it is copied
            self.teacher.update_parameters(self.network)
