"""Batched sliding windows against window by window and, where it is installed, MONAI's inferer.

Wall-clock seconds, on a GPU if there is one. A small network on a small image by default; `--width
16 --shape 180 140 88 --patch 112 112 80 --stride 18 18 4` is a left atrium at the paper's settings.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.timing import alternate, ratio, show
from ssl_methods.config import NetworkConfig
from ssl_methods.devices.host_memory import keep_freed_memory
from ssl_methods.evaluation.inference import sliding_window
from ssl_methods.networks import MakeNetwork


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--rounds", type=int, default=9, help="timed calls of each")
    parser.add_argument("--width", type=int, default=8, help="of the V-Net")
    parser.add_argument("--shape", type=int, nargs=3, default=(48, 64, 48), metavar="N")
    parser.add_argument("--patch", type=int, nargs=3, default=(32, 48, 32), metavar="N")
    parser.add_argument("--stride", type=int, nargs=3, default=(16, 16, 16), metavar="N")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(0)
    network = MakeNetwork(NetworkConfig(width=options.width))().to(device).eval()
    image = torch.randn(1, *options.shape, device=device)

    def predict(patches: Tensor) -> Tensor:
        return network(patches)[0].float().sigmoid()

    def windows(batch: int) -> Callable[[], Tensor]:
        def run() -> Tensor:
            found = sliding_window(predict, image, options.patch, options.stride, 1, batch)
            return found.cpu()  # waits for the device

        return run

    candidates = {"window by window": windows(1), "batches of 4": windows(4)}
    if importlib.util.find_spec("monai") is not None:
        candidates["MONAI, batches of 4"] = of_monai(predict, image, options.patch, options.stride)
    with torch.inference_mode():
        first = candidates["window by window"]()
        for name, run in candidates.items():
            torch.testing.assert_close(run(), first, rtol=0, atol=1e-3, msg=f"{name} differs")
        seconds = alternate(candidates, options.rounds)
    base = seconds["window by window"]
    rows = [
        {
            "device": device.type,
            "inferer": name,
            "s": median(values),
            "window by window / this": ratio(base, values),
        }
        for name, values in seconds.items()
    ]
    show(rows, options.json)


def of_monai(
    predict: Callable[[Tensor], Tensor], image: Tensor, patch: list[int], stride: list[int]
) -> Callable[[], Tensor]:
    from monai.inferers import sliding_window_inference

    # A thousandth above, for it truncates patch * (1 - overlap).
    overlap = [1 - (step + 1e-3) / size for step, size in zip(stride, patch, strict=True)]

    def run() -> Tensor:
        found = sliding_window_inference(
            image[None], patch, 4, predict, overlap=overlap, mode="constant"
        )
        return found[0].cpu()

    return run


if __name__ == "__main__":
    main()
