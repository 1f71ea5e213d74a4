"""Properties of a whole run: training, checkpoints, resumption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ssl_methods.batch import Batch
from ssl_methods.checks.check import check, every, need, trained
from ssl_methods.checks.materials import make_batch, same, tiny_run
from ssl_methods.data.sampling import Sampler
from ssl_methods.evaluation.trained import restore
from ssl_methods.run_record import read_record
from ssl_methods.training.checkpoint import Checkpoint
from ssl_methods.training.loop import fit
from ssl_methods.training.observers import Observer
from ssl_methods.training.train import build_for, train

CPU = torch.device("cpu")


@check(every)
def goes_through_the_training_loop(name: str) -> None:
    """Thirty iterations, from scans to `model.pt`, and back from it to a method."""
    with tiny_run(name, iterations=30) as (run, results, store):
        train(run, results, results / "run")
        state = restore(read_record(results / "run"), store).state_dict()
    for title, value in state.items():
        need(bool(value.isfinite().all()), f"'{title}' is not finite after 30 iterations")


@check(trained)
def resumes_to_the_same_bits(name: str) -> None:
    """Stopped in the sixth of nine iterations, and resumed from the checkpoint after the fourth."""

    class Stop(Exception):
        """Ends a run in the midst of it."""

    class StopsAt(Sampler):
        last = 9

        def batch(self, t: int) -> Batch:
            if t == self.last:
                raise Stop
            return super().batch(t)

    def go(folder: Path, seed: int, stop: int) -> Any:
        torch.manual_seed(seed)
        method = build_for(run, store)
        method.before_training(list(make_batch().labels))
        ids = store.ids("train")
        unlabeled = ids[2:] if method.wants_unlabeled else []
        sampler = StopsAt(store, ids[:2], unlabeled, run.training, 0, method.targets, CPU)
        sampler.last = stop
        folder.mkdir(exist_ok=True)
        checkpoint = Checkpoint(folder, "check", CPU)
        fit(method, sampler, run.training, checkpoint, CPU, Observer(name))
        saved = torch.load(checkpoint.newest, weights_only=True)
        return {"last": method.state_dict()} | {key: saved[key] for key in ("method", "optimizers")}

    with tiny_run(name, iterations=9, checkpoint_every=4) as (run, results, store):
        straight = go(results / "straight", seed=0, stop=9)
        try:
            go(results / "resumed", seed=0, stop=5)
        except Stop:
            resumed = go(results / "resumed", seed=1, stop=9)
    for part, title in (("method", "weights"), ("optimizers", "optimisers"), ("last", "weights")):
        need(same(straight[part], resumed[part]), f"resumed, it ends with other {title}")
