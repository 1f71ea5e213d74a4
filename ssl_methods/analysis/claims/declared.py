"""What DTC's paper claims, each claim as parts that can be tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Labels = Literal["few", "all", "few - most"]
TIMES = ("seconds_per_iteration", "train_seconds")
COSTS = (*TIMES, "forward_passes_per_iteration")
EACH_OTHER = "each other method"


@dataclass(frozen=True)
class Part:
    """``method`` is better than ``against``: higher Dice, lower cost."""

    method: str  # 'a or b': a if it has runs there, else b
    against: str
    labels: Labels = "few"  # the smallest budget; all labels; how the gain shrinks between budgets
    metric: str = "dice"
    margin: float = 0.0  # worse by less than this is no worse
    optional: bool = False  # left out where ``against`` is not in the experiment
    not_here: str = ""  # why it cannot be tested

    def __str__(self) -> str:
        if self.labels == "few - most":
            return f"{self.method} gains less over {self.against} as labels grow"
        if self.margin:
            return f"{self.method} is no worse than {self.against} by more than {self.margin}"
        if self.metric in COSTS:
            return f"{self.method} needs fewer {self.metric.replace('_', ' ')} than {self.against}"
        return f"{self.method} is better than {self.against}"


@dataclass(frozen=True)
class Claim:
    number: int
    text: str
    source: str
    parts: tuple[Part, ...]


ABLATED = "dtc or dtc_supervised"  # the same, bit for bit, where no image is unlabeled
KIN = ("dtc", "dtc_supervised", "sdf_multitask", "multi_task_consistency")
POINT = 0.01  # of Dice; the paper's author names 0.008 between runs (DTC's repository, issue 14)

CLAIMS = (
    Claim(
        1,
        "With all labels, segmentation, level set and consistency together beat either task alone, "
        "and both without consistency.",
        "table 1, 62 labels",
        (
            Part(ABLATED, "supervised", "all"),
            Part(ABLATED, "level_set_only", "all"),
            Part(ABLATED, "sdf_multitask", "all"),
        ),
    ),
    Claim(
        2,
        "With few labels, DTC beats training on labeled images alone and the other "
        "semi-supervised methods.",
        "tables 2 and 3",
        (
            Part("dtc", "supervised"),
            Part("dtc", "mean_teacher"),
            *(
                Part("dtc", name, optional=True)
                for name in ("entropy_minimization", "dan", "ua_mt", "cct", "sassnet")
            ),
        ),
    ),
    Claim(
        3,
        "What unlabeled images and the second task gain shrinks as labels grow.",
        "figure 4",
        (Part("dtc", "supervised", "few - most"),),
    ),
    Claim(
        4,
        "DTC trains in less time than methods that perturb images or networks.",
        "tables 2 and 3",
        (
            *(
                Part("dtc", peer, metric=metric)
                for peer in ("mean_teacher", "ua_mt", "cct", "sassnet")
                for metric in TIMES
            ),
            *(
                Part("dtc", peer, metric="forward_passes_per_iteration")
                for peer in ("mean_teacher", "ua_mt")
            ),
        ),
    ),
    Claim(
        5,
        "Task consistency extends to further tasks.",
        "conclusion",
        (
            Part("multi_task_consistency", "supervised"),
            Part("multi_task_consistency", "sdf_multitask"),
            Part("multi_task_consistency", "dtc", margin=POINT),
        ),
    ),
    Claim(
        6,
        "With few labels, DTC beats every other method of the experiment.",
        "not claimed by the paper, most of them are later",
        (Part("dtc", EACH_OTHER),),
    ),
)
