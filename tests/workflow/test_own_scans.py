"""Scans of one's own, mixed in format, axes and voxels: the page on them, word for word.

What comes out is judged with SimpleITK alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from support import mixed_scans
from support.harness import PROJECT, Workflow, new_workflow

pytestmark = [pytest.mark.workflow, pytest.mark.long]

PAGE = (PROJECT / "docs/how-to/use-your-own-scans.md").read_text()
NEW = {name: (label, turn) for name, label, _, turn in mixed_scans.NEW}
WRITTEN_AS = {".nhdr": ".nrrd", ".mhd": ".mha"}  # a label is one file
ENSEMBLE = "results/my_scans/runs/dtc/labeled-4/subset-*/seed-0"
SHAPES = "results/my_scans/runs/mean_shape/labeled-4/subset-*/seed-0"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE, re.M | re.S)
    return [re.sub(f"^{indent}", "", block, flags=re.M) for indent, block in found]


class Followed(NamedTuple):
    folder: Path
    environment: dict[str, str]
    printed: dict[str, str]  # by command

    def run(self, command: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder or self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """Every command of the page, in the project's folder, with training of seconds.

    Beside a method that the page names, one is trained that knows where the body lies, and no more.
    """
    workflow: Workflow = new_workflow(tmp_path_factory.mktemp("scans"))
    project = workflow.project
    mixed_scans.make_scans(project)
    declared = yaml.safe_load(blocks("yaml")[0])
    declared |= {"methods": ["dtc", "mean_shape"], "budgets": [4], "subsets": 2}
    declared |= {"network": {"width": 2, "levels": 2}}
    declared["training"] |= {"iterations": 6, "device": "cpu"}
    (project / "my_scans.yaml").write_text(yaml.safe_dump(declared))
    active = os.pathsep.join([str(Path(sys.executable).parent), workflow.environment()["PATH"]])
    followed = Followed(project, workflow.environment(PATH=active), {})
    for block in blocks("sh"):
        for command in block.splitlines():
            followed.printed[command] = followed.run(command.partition("  #")[0])
    return followed


def printed_by(followed: Followed, verb: str) -> str:
    return next(text for command, text in followed.printed.items() if f" {verb} " in command)


def test_the_page_shows_what_prepare_prints(followed: Followed):
    shown = re.sub(r"my_scans-\w{16}", "my_scans-<digest>", printed_by(followed, "prepare"))
    expected = re.sub(r"my_scans-\w{16}", "my_scans-<digest>", blocks("text")[0])
    assert shown.strip() == expected.strip()
    picture = sitk.ReadImage(next(followed.folder.glob("results/prepared/*/summary.png")))
    assert picture.GetSize()[0] == 1200  # six in a row


# ---- where predictions lie -----------------------------------------------------------------------


def written(folder: Path, scan: str) -> Path:
    stem, dot, suffix = scan.partition(".")
    suffix = (dot + suffix).lower()
    return folder / f"{stem}{WRITTEN_AS.get(suffix, suffix)}"


def read(path: Path) -> sitk.Image:
    """SimpleITK knows lower-case suffixes."""
    lower = path.with_name(path.name.lower())
    if lower == path:
        return sitk.ReadImage(path)
    copy = path.parent.parent / f"lower-case-{lower.name}"
    shutil.copy(path, copy)
    return sitk.ReadImage(copy)


def lies_as(label: sitk.Image, scan: sitk.Image) -> None:
    """Voxel for voxel on the scan; what float32 headers lose of an angle, less than 1e-6."""
    assert label.GetSize() == scan.GetSize()
    for of in (sitk.Image.GetSpacing, sitk.Image.GetOrigin, sitk.Image.GetDirection):
        assert of(label) == pytest.approx(of(scan), abs=1e-5)


def at_points(label: sitk.Image, points: np.ndarray) -> np.ndarray:
    """The values at points (N, 3) in mm, by SimpleITK: of the nearest voxel."""
    return np.array(
        [label.EvaluateAtPhysicalPoint(p.tolist(), sitk.sitkNearestNeighbor) for p in points]
    )


def points_of(turn: mixed_scans.Turn) -> tuple[np.ndarray, np.ndarray]:
    """Points in mm (LPS) spread over the volume, half a mm from any border, and the body there.

    Known without any file: of each box, where it is; of a tilted scanner, the body tilts along.
    """
    random = np.random.default_rng(1)
    inside = random.integers(1, np.array(mixed_scans.EXTENT) - 1, (4000, 3)) + 0.5
    values = np.zeros(len(inside), int)
    for value, box in mixed_scans.BOXES.items():
        low, high = np.transpose(box)
        values[np.all((inside > low) & (inside < high), axis=1)] = value
    first = np.array(mixed_scans.ORIGIN) + np.array(mixed_scans.FINE) / 2
    if turn is mixed_scans.oblique:
        tilt = np.array(mixed_scans.TILT).reshape(3, 3)
        return first + (inside - np.array(mixed_scans.FINE) / 2) @ tilt.T, values
    return np.array(mixed_scans.ORIGIN) + inside, values


@pytest.mark.parametrize("scan", NEW)
def test_a_prediction_lies_on_its_scan(followed: Followed, scan: str):
    label = read(written(followed.folder / "predictions", scan))
    lies_as(label, read(followed.folder / "new_scans" / scan))
    assert set(np.unique(sitk.GetArrayFromImage(label))) <= {0, 1, 2, 4}
    for value in (1, 2, 4):
        name = f"{scan.partition('.')[0]}_probability_{value}.nii.gz"
        probability = sitk.ReadImage(followed.folder / "predictions_of_zip" / name)
        lies_as(probability, read(followed.folder / "new_scans" / scan))


@pytest.fixture(scope="module")
def shapes(followed: Followed) -> Path:
    """Predictions of the method that knows where the body lies, an ensemble of two subsets."""
    followed.run(f"ssl-methods predict {SHAPES} new_scans scans/images --out shapes")
    return followed.folder / "shapes"


@pytest.mark.parametrize("scan", NEW)
def test_what_is_predicted_lies_where_the_body_is(followed: Followed, shapes: Path, scan: str):
    """Of values 1 and 2, that all bodies share, each voxel; in mm and against the scan's label."""
    label = read(written(shapes, scan))
    reference_name, turn = NEW[scan]
    points, values = points_of(turn)
    found = at_points(label, points)
    for value in (1, 2):
        assert (values == value).sum() > 100
        assert np.array_equal(found == value, values == value)
    reference = sitk.ReadImage(followed.folder / "references" / reference_name)
    on_reference = sitk.Resample(label, reference, sitk.Transform(), sitk.sitkNearestNeighbor)
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(sitk.Cast(reference, sitk.sitkUInt8), sitk.Cast(on_reference, sitk.sitkUInt8))
    assert measures.GetDiceCoefficient(1) == 1
    assert measures.GetDiceCoefficient(2) == 1
    assert measures.GetDiceCoefficient(4) > 0.4


@pytest.mark.parametrize("scan", [it for it in mixed_scans.SCANS if it[1]], ids=lambda it: it[0])
def test_a_scan_of_the_folder_is_predicted_where_its_label_is(
    followed: Followed, shapes: Path, scan
):
    """Also where the label is of another format than the scan and its prediction."""
    name, label_name, _, _ = scan
    path = written(shapes, name)
    reference = read(followed.folder / "scans/labels" / label_name)
    lies_as(read(path), reference)
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(reference, read(path))
    assert measures.GetDiceCoefficient(1) == measures.GetDiceCoefficient(2) == 1


def test_the_same_scan_along_other_axes_is_predicted_alike(followed: Followed):
    """A network reads what a scan shows, not how its file has it; in probabilities, that differ
    from voxel to voxel however short the training."""
    folder = followed.folder / "turned"
    scan = sitk.ReadImage(followed.folder / "new_scans/new01.nii.gz")
    mixed_scans.write(scan, folder / "plain.nii.gz")
    mixed_scans.write(mixed_scans.flipped(scan), folder / "flipped.nrrd")
    mixed_scans.write(mixed_scans.permuted(scan), folder / "permuted.mha")
    followed.run(f"ssl-methods predict {ENSEMBLE} turned --out alike --probabilities")
    for value in (1, 2, 4):
        plain, *others = (
            sitk.ReadImage(followed.folder / f"alike/{name}_probability_{value}.nii.gz")
            for name in ("plain", "flipped", "permuted")
        )
        expected = sitk.GetArrayFromImage(plain)
        assert np.ptp(expected) > 0.001
        for other in others:
            there = sitk.Resample(other, plain, sitk.Transform(), sitk.sitkNearestNeighbor, -1.0)
            assert np.allclose(sitk.GetArrayFromImage(there), expected, rtol=0, atol=1e-6)


# ---- the model taken away ------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_file_predicts_the_same_bytes_where_there_is_no_store(
    followed: Followed, tmp_path: Path
):
    """As the runs do; labels, and probabilities, that differ from voxel to voxel."""
    shutil.copy(followed.folder / "dtc.zip", tmp_path)
    shutil.copytree(followed.folder / "new_scans", tmp_path / "new_scans")
    predict = "ssl-methods predict"
    followed.run(f"{predict} dtc.zip new_scans --out again --probabilities", tmp_path)
    followed.run(f"{predict} {ENSEMBLE} new_scans --out of_runs --probabilities")
    of_runs = files(followed.folder / "of_runs")
    assert len(of_runs) == 4 * len(NEW)
    assert files(followed.folder / "predictions").items() < of_runs.items()
    assert files(followed.folder / "predictions_of_zip") == of_runs
    assert files(tmp_path / "again") == of_runs
    assert not (tmp_path / "results").exists()


def test_python_gives_the_same_label(followed: Followed):
    (program,) = (block for block in blocks("python") if "ssl_methods.load(" in block)
    program += (
        "\nimport numpy\nnumpy.savez('arrays.npz', label=label, probabilities=probabilities)\n"
    )
    (followed.folder / "program.py").write_text(program)
    followed.run("python program.py")
    found = np.load(followed.folder / "arrays.npz")
    written_label = sitk.ReadImage(followed.folder / "predictions/new01.nii.gz")
    assert np.array_equal(found["label"].transpose(), sitk.GetArrayFromImage(written_label))
    for number, value in enumerate((1, 2, 4)):
        path = followed.folder / f"predictions_of_zip/new01_probability_{value}.nii.gz"
        expected = sitk.GetArrayFromImage(sitk.ReadImage(path))
        assert np.allclose(found["probabilities"][number].transpose(), expected, atol=1e-6)
