"""`score`: the value of a released file is what the released test code gives it."""

import csv
import json

import h5py
import numpy as np
import pytest
import torch
import yaml
from skimage.measure import label as components
from support.released_net import released_prediction, released_state, released_values

from ssl_methods import methods
from ssl_methods.cli import main
from ssl_methods.config import NetworkConfig
from ssl_methods.networks import EncoderDecoder
from ssl_methods.networks.released_weights import load_released, read_released

PATCH, STRIDE = (32, 32, 16), (9, 14, 5)
SHAPES = [(40, 45, 21), (32, 37, 13)]  # the second is smaller than a patch
NAMINGS = {"dtc": "dtc", "sassnet": "sassnet", "ua_mt": "ua_mt", "ssl4mis": "supervised"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Four scans as the field shares them, and an experiment on them, in the working directory."""
    monkeypatch.chdir(tmp_path)
    random, folder = np.random.default_rng(1), tmp_path / "scans"
    scans = {}
    for i, shape in enumerate([*SHAPES, (34, 33, 18), (36, 32, 17)]):
        case = f"CASE{i}"
        (folder / case).mkdir(parents=True)
        label = np.zeros(shape, np.uint8)
        label[8:25, 6:28, 3:11] = 1
        image = (label + random.normal(0, 1, shape)).astype(np.float32)
        with h5py.File(folder / case / "mri_norm2.h5", "w") as file:
            file["image"], file["label"] = image, label
        scans[case] = image, label
    (folder / "test.list").write_text("CASE0\nCASE1\n")
    (folder / "train.list").write_text("CASE2\nCASE3\n")
    declared = {
        "name": "authors",
        "dataset": {
            "name": "left_atrium", "importer": "left_atrium", "path": "scans",
            "normalisation": "none",
        },
        "recipe": "as_released",
        "methods": ["supervised", "dtc", "sassnet", "ua_mt", "cct", "empty"],
        "budgets": [1], "subsets": 1,
        "network": {"width": 2},
        "training": {"patch_size": list(PATCH), "device": "cpu"},
        "evaluation": {"stride": list(STRIDE)},
    }  # fmt: skip
    (tmp_path / "exp.yaml").write_text(yaml.safe_dump(declared))
    return {case: scans[case] for case in ("CASE0", "CASE1")}


def wrapped(state, how):
    return {
        "plain": state,
        "state_dict": {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}},
        "model": {"model": state, "iteration": 6000},
        "parallel": {f"module.{name}": tensor for name, tensor in state.items()},
        "both": {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    }[how]


@pytest.mark.parametrize("naming", NAMINGS)
def test_a_released_file_has_the_value_of_the_released_test_code(place, capsys, naming):
    state = released_state("ua_mt" if naming == "ssl4mis" else naming, seed=len(naming))
    torch.save(wrapped(state, "both" if naming == "ssl4mis" else "plain"), "iter_6000.pth")
    row = NAMINGS[naming]
    assert main(["score", "iter_6000.pth", "--method", row, "exp.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    each, largest = {}, {}
    for case, (image, label) in place.items():
        prediction = released_prediction(state, image, PATCH, STRIDE)
        assert 0 < prediction.sum() < prediction.size
        each[case] = released_values(prediction, label)
        parts = components(prediction)
        kept = parts == np.argmax(np.bincount(parts.flat)[1:]) + 1
        largest[case] = released_values(kept, label)
    for name in ("dice", "jaccard", "asd_voxel", "hd95_voxel"):
        expected = np.mean([values[name] for values in each.values()])
        assert found["values"][name] == pytest.approx(expected, abs=1e-6)
        expected = np.mean([values[name] for values in largest.values()])
        assert found["largest_component"][name] == pytest.approx(expected, abs=1e-6)
    with open(found["cases_csv"]) as file:
        rows = {line["case"]: line for line in csv.DictReader(file)}
    assert rows.keys() == place.keys()
    for case, values in each.items():
        for name, value in values.items():
            assert float(rows[case][name]) == pytest.approx(value, abs=1e-6)
    assert found["cases"] == 2 and found["stride"] == list(STRIDE)


def test_published_values_stand_beside_it(place, capsys, tmp_path):
    torch.save(released_state("dtc"), "dtc_16.pth")
    assert main(["score", "dtc_16.pth", "--method", "dtc", "exp.yaml", "--out", "mine"]) == 0
    text = capsys.readouterr().out
    (line,) = [line for line in text.splitlines() if "table 3" in line]
    assert line.startswith("16 labeled: Luo et al., AAAI 2021 (DTC), table 3 (checkpoint last,")
    assert line.split()[-4:] == ["89.42", "80.98", "2.10", "7.32"]
    assert "SASSNet" not in text
    quoted = [line for line in text.splitlines() if line.startswith("4 labeled\N{DAGGER}")]
    assert quoted and "\N{DAGGER}: quoted from memory" in text
    assert (tmp_path / "mine/cases.csv").is_file()
    assert main(["score", "dtc_16.pth", "--method", "dtc", "exp.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    own = [row for row in found["published"] if row["place"] == "table 3"]
    assert [row["dice"] for row in own] == pytest.approx([0.8942])
    assert found["cases_csv"] == "results/authors/scores/dtc/dtc_16/cases.csv"


@pytest.mark.parametrize("how", ["plain", "state_dict", "model", "parallel", "both"])
def test_the_difference_of_two_softmax_channels_is_the_logit(tmp_path, how):
    state = released_state("ua_mt", width=4, seed=3)
    path = tmp_path / "x.pth"
    torch.save(wrapped(state, how), path)
    network = EncoderDecoder(width=4)
    network.load_state_dict(read_released(path))
    image = torch.randn(1, 1, 32, 32, 16)
    from support.released_net import released_probability

    with torch.no_grad():
        ours = network.eval()(image)[0].sigmoid()[0, 0].numpy()
    expected = released_probability(state, image[0, 0].numpy())
    assert np.abs(ours - expected).max() < 1e-6
    assert expected.std() > 0.01


def test_a_file_of_an_old_pytorch_has_no_counters(tmp_path):
    state = released_state("dtc", width=4)
    old = {name: it for name, it in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    EncoderDecoder(width=4, heads=2).load_state_dict(read_released(tmp_path / "old.pth"))


def without(state, name):
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, "block_nine.conv.0.bias"), "block_nine.conv.0.bias is absent"),
        (lambda s: s | {"block_two.conv.0.weight": torch.zeros(4, 4, 1, 1, 1)},
         r"block_two.conv.0.weight is \(4, 4, 1, 1, 1\), not \(4, 4, 3, 3, 3\)"),
        (lambda s: s | {"block_ten.conv.0.weight": torch.zeros(1)}, "'block_ten.conv.0.weight'"),
        (lambda s: s | {"block_nine.conv.3.weight": torch.zeros(1)},
         "block_nine.conv.3.weight is too much"),
        (lambda s: s | {"out_conv.weight": torch.zeros(4, 2, 1, 1, 1),
                        "out_conv.bias": torch.zeros(4)},
         r"out_conv.weight is \(4, 2, 1, 1, 1\), not \(1, 2, 1, 1, 1\)"),
        (lambda s: without(s, "block_one.conv.0.weight"), "lacks block_one.conv.0.weight"),
        (lambda s: {"model": {"state_dict": 3}}, "it has state_dict"),
        (lambda s: {"net": s, "epoch": 1}, "alone or under 'state_dict' or 'model'; it has net"),
        (lambda s: {}, "expected a state dict"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("naming", ["ua_mt", "dtc"])
def test_what_is_refused_is_refused_at_import(tmp_path, capsys, naming, change, message):
    path, out = tmp_path / "x.pth", tmp_path / "model.pt"
    torch.save(change(released_state(naming)), path)
    assert main(["import-checkpoint", str(path), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: ")
    import re

    assert re.search(message, line), line
    assert not out.exists()


def test_an_imported_file_is_the_model_of_its_method(tmp_path):
    for naming, name in (("dtc", "dtc"), ("ua_mt", "supervised")):
        torch.save(released_state(naming), tmp_path / "x.pth")
        assert main(["import-checkpoint", str(tmp_path / "x.pth"), "--out",
                     str(tmp_path / "model.pt")]) == 0  # fmt: skip
        method = methods.create(name, network=NetworkConfig(width=2))
        method.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))


@pytest.mark.parametrize(
    ("naming", "row", "message"),
    [
        ("ua_mt", "dtc", "holds a V-Net of five levels with one head"),
        ("dtc", "supervised", "with two heads"),
        ("dtc", "cct", "with two heads"),
        ("dtc", "empty", "has no network"),
        ("dtc", "dct", "no method 'dct'; did you mean"),
    ],
)
def test_a_file_of_another_method_is_refused_before_data_are_prepared(
    place, tmp_path, capsys, naming, row, message
):
    torch.save(released_state(naming), "x.pth")
    assert main(["score", "x.pth", "--method", row, "exp.yaml"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_another_width_is_named(tmp_path):
    torch.save(released_state("dtc", width=4), tmp_path / "x.pth")
    with pytest.raises(
        Exception, match=r"network\.width or channels: .* \(4, 1, 3, 3, 3\), not \(2"
    ):
        load_released(EncoderDecoder(width=2, heads=2), tmp_path / "x.pth")


def test_a_file_that_is_not_there(place, capsys):
    assert main(["score", "none.pth", "--method", "dtc", "exp.yaml"]) == 2
    assert capsys.readouterr().err == "error: none.pth: no such file\n"
