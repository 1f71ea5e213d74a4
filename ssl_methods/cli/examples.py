"""What stands under "examples" in the help of each verb; a test reads each as a command line."""

from __future__ import annotations

_RUN = "results/quickstart/runs/dtc/labeled-4/subset-0/seed-0"

EXAMPLES = {
    "quickstart": [
        "quickstart --cores 2",
        "quickstart -n",
        "quickstart --directory /tmp/first-look --config 'methods=[supervised,dtc]'",
    ],
    "run": [
        "run my_experiment.yaml --cores 8 --resources gpu=2",
        "run hippocampus -n",
        "run my_experiment.yaml models --cores 8",
        "run my_study.yaml --cores 2",
    ],
    "plan": [
        "plan my_experiment.yaml",
        "plan my_experiment.yaml --measure 10 --devices 2",
        "plan my_experiment.yaml --detect 2",
        "plan my_experiment.yaml --detect 2 --like results/left_atrium_small",
    ],
    "prepare": [
        "prepare my_experiment.yaml --workers 4",
    ],
    "split": [
        "split my_experiment.yaml",
        "split my_experiment.yaml --budget 4 --subset 0",
    ],
    "choose": ["choose my_experiment.yaml", "choose my_experiment.yaml --budget 4"],
    "look": ["look my_experiment.yaml --budget 4 --subsets 8"],
    "train": [
        "train my_experiment.yaml --method dtc --budget 4",
        "train my_experiment.yaml --method mine --budget all --method-module mine.py",
        f"train {_RUN}/run.yaml --out once_more",
    ],
    "evaluate": [
        f"evaluate {_RUN}",
        "evaluate my_experiment.yaml --method dtc --budget 4 --subset 1",
    ],
    "collect": ["collect my_experiment.yaml"],
    "report": ["report my_experiment.yaml"],
    "compare": [
        "compare my_experiment.yaml my_experiment_in_float32.yaml",
        "compare raw_tiles.yaml normalised_tiles.yaml --groups",
    ],
    "tune": [
        "tune my_study.yaml",
        "tune my_experiment.yaml --study k_and_lambda --part answers",
    ],
    "reproduce": [f"reproduce {_RUN}/run.yaml"],
    "predict": [
        f"predict {_RUN} new_scans --out predictions",
        "predict dtc.zip scan.nii.gz --out predictions --probabilities",
    ],
    "export": [
        f"export {_RUN} --out dtc.zip",
        f"export {_RUN} --onnx dtc.onnx",
    ],
    "metrics": [
        "metrics prediction.nii.gz reference.nii.gz",
        "metrics prediction.nii.gz reference.nii.gz --beside medpy",
        "metrics prediction.npy reference.npy --spacing 1 1 2.5 --json",
    ],
    "score": ["score dtc_16_aaai2021.pth my_experiment.yaml --method dtc"],
    "import-checkpoint": ["import-checkpoint dtc_16_aaai2021.pth --out model.pt"],
    "methods": [
        "methods",
        "methods check dtc",
        "methods check mine --method-module mine.py",
    ],
    "doctor": ["doctor", "doctor my_experiment.yaml"],
    "completion": [
        "completion bash > ~/.local/share/bash-completion/completions/ssl-methods",
        "completion zsh > ~/.zfunc/_ssl-methods",
    ],
    "showcase": ["showcase configs/experiments/hippocampus.yaml"],
    "schema": ["schema > experiment.schema.json"],
    "reference": ["reference"],
}
