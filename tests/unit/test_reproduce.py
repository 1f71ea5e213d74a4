"""A run trained again: the same is called the same, and a planted difference is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from ssl_methods.cli import main
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.files import write_yaml
from ssl_methods.training.reproduce import compare_measurements, compare_weights, reproduce
from ssl_methods.training.train import train


@pytest.fixture(scope="module")
def once(prepared_results, tmp_path_factory) -> tuple[Path, Path]:
    """A results folder, and a run in it that is trained and evaluated."""
    from support.tiny import tiny_experiment

    results = shutil.copytree(prepared_results, tmp_path_factory.mktemp("once") / "results")
    run = tiny_experiment().run("dtc", 2, 0, 0)
    folder = results / run.folder
    train(run, results, folder)
    evaluate(folder, results)
    return results, folder


@pytest.fixture
def earlier(once, tmp_path: Path) -> tuple[Path, Path]:
    """The same, to be spoilt."""
    results, folder = once
    copy = shutil.copytree(results, tmp_path / "results")
    return copy, copy / folder.relative_to(results)


def test_the_same_run_is_reproduced(earlier, capsys):
    results, folder = earlier
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(["reproduce", str(folder / "run.yaml"), "--results", str(results)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "weights: the same, bit for bit",
        "measurements: the same in all 15 columns",
        "reproduced",
    ]
    assert files == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_another_seed_is_not_reproduced_and_other_circumstances_are_named(
    earlier, tmp_path, capsys
):
    results, folder = earlier
    recorded = json.loads((folder / "provenance.json").read_text())
    run = recorded["settings"] | {"seed": 1}
    write_yaml(folder / "run.yaml", run)
    recorded["versions"]["torch"] = "2.0.1"
    del recorded["processor"]
    (folder / "provenance.json").write_text(json.dumps(recorded))
    assert not reproduce(folder / "run.yaml", results, tmp_path / "again")
    lines = capsys.readouterr().out.splitlines()
    assert f'versions.torch: "2.0.1" -> "{torch.__version__}"' in lines
    assert "seeds.seed: 0 -> 1" in lines
    assert "processor: not recorded" in lines
    assert any(line.startswith("weights: differ by up to ") for line in lines)
    assert any(line.startswith("dice: differs by up to ") for line in lines)
    assert lines[-1] == "NOT reproduced"
    assert (tmp_path / "again/model.pt").is_file()


def test_planted_differences_are_measured(earlier, tmp_path):
    _, folder = earlier
    again = shutil.copytree(folder, tmp_path / "again")
    model = torch.load(again / "model.pt", weights_only=True)
    name = next(name for name, tensor in model.items() if tensor.dtype == torch.float32)
    model[name].flatten()[0] += 0.25
    torch.save(model, again / "model.pt")
    provenance = json.loads((again / "provenance.json").read_text())
    (again / "provenance.json").write_text(json.dumps(provenance | {"model_sha256": "other"}))
    assert compare_weights(folder, again) == (False, f"weights: differ by up to 0.25 ({name})")

    lines = (again / "cases.csv").read_text().splitlines()
    head, first = lines[0].split(","), lines[1].split(",")
    first[head.index("dice")] = str(float(first[head.index("dice")]) + 0.125)
    (again / "cases.csv").write_text("\n".join([lines[0], ",".join(first), *lines[2:]]) + "\n")
    assert compare_measurements(folder, again) == (False, ["dice: differs by up to 0.125"])
    (again / "cases.csv").write_text("\n".join(lines[:2]) + "\n")
    assert compare_measurements(folder, again)[0] is False


def test_a_run_without_measurements_cannot_be_compared(earlier):
    results, folder = earlier
    (folder / "cases.csv").unlink()
    with pytest.raises(UserError, match=r"cases\.csv: is absent"):
        reproduce(folder / "run.yaml", results)


def test_the_earlier_run_is_never_overwritten(earlier):
    results, folder = earlier
    with pytest.raises(UserError, match="give another --out"):
        reproduce(folder / "run.yaml", results, folder)
