"""What the training scripts of SSL4MIS share: `as_released` of the methods that follow them."""

from __future__ import annotations

from ssl_methods.config import RampedConfig, TrainingConfig


class SSL4MISConfig(RampedConfig):
    """Settings of a method that is trained as SSL4MIS (06df604) trains it."""

    as_released = {"dice_over": "both", "ramp": "stepwise", "ramp_steps": 200}

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """The learning rate falls as (1 - t/t_max)^0.9; most scripts take that of the step before,
        which is higher by 1/t_max of the first rate on average."""
        schedule = {"learning_rate_schedule": "poly", "learning_rate_power": 0.9}
        return super().released_training(training).model_copy(update=schedule)
