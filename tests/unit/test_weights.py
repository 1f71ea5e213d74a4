"""Files of tensors: whatever bit is another, it is noticed; whatever lies there, it is one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from support.mutations import damaged

from ssl_methods.training.checkpoint import Checkpoint, State
from ssl_methods.training.kept_weights import Snapshots
from ssl_methods.weights import Damaged, load_sealed, load_state, save_sealed


def test_a_sealed_file_is_what_torch_and_zip_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    save_sealed(path, {"a": torch.arange(5.0), "b": [1, "text"]})
    assert torch.load(path, weights_only=True)["b"] == [1, "text"]
    for mmap in (False, True):
        assert torch.equal(load_sealed(path, mmap)["a"], torch.arange(5.0))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and len(archive.comment) == 64


def test_every_damage_of_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    save_sealed(path, {"a": torch.randn(40), "b": [1, "text"]})
    content = path.read_bytes()
    for seed in range(400):
        if (other := damaged(content, seed)) == content:
            continue
        path.write_bytes(other)
        for unsealed in (False, True):
            with pytest.raises(Damaged, match=r"x\.pt") as raised:
                load_sealed(path, unsealed=unsealed)
            assert len(str(raised.value).splitlines()) == 1


def test_a_file_of_an_earlier_version_is_taken_only_where_that_is_said(tmp_path: Path) -> None:
    torch.save([1], tmp_path / "x.pt")
    assert load_sealed(tmp_path / "x.pt", unsealed=True) == [1]
    with pytest.raises(Damaged):
        load_sealed(tmp_path / "x.pt")


def test_no_damage_of_a_state_dict_is_more_than_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"a.weight": torch.randn(6, 5), "a.bias": torch.randn(3)}, path)
    content = path.read_bytes()
    for seed in range(400):
        path.write_bytes(damaged(content, seed))
        try:
            load_state(path)  # flipped bits of a weight are for the checksum to notice
        except Damaged as error:
            assert "model.pt" in str(error) and len(str(error).splitlines()) == 1


def saved(folder: Path) -> tuple[Checkpoint, torch.nn.Linear, torch.optim.SGD]:
    """Two checkpoints: of iteration 1, when the weight was 1, and 2, when it was 2."""
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0, momentum=0.9)
    checkpoint = Checkpoint(folder, "key", torch.device("cpu"))
    for iteration in (1, 2):
        torch.nn.init.constant_(module.weight, iteration)
        checkpoint.save(module, [optimizer], State(iteration=iteration))
    torch.nn.init.constant_(module.weight, 7.0)
    return checkpoint, module, optimizer


@pytest.mark.parametrize("seed", range(25))
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint, module, optimizer = saved(tmp_path)
    checkpoint.newest.write_bytes(damaged(checkpoint.newest.read_bytes(), seed))
    assert checkpoint.restore(module, [optimizer]).iteration == 1
    assert module.weight.item() == 1
    assert "checkpoint.pt is broken and is passed over" in caplog.text
    checkpoint.previous.write_bytes(damaged(checkpoint.previous.read_bytes(), seed + 1))
    torch.nn.init.constant_(module.weight, 7.0)
    assert checkpoint.restore(module, [optimizer]).iteration == 0
    assert module.weight.item() == 7


@pytest.mark.parametrize("name", [b"optimizers", b"random", b"iteration", b"method", b"weight"])
def test_damaged_names_in_a_checkpoint_are_damage(name: bytes, tmp_path: Path) -> None:
    checkpoint, module, optimizer = saved(tmp_path)
    content = checkpoint.newest.read_bytes()
    assert name in content
    checkpoint.newest.write_bytes(content.replace(name, name[:-1] + b"_"))
    assert checkpoint.restore(module, [optimizer]).iteration == 1


def test_damaged_snapshots_are_said_and_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Snapshots(tmp_path, "key", 4, 8).keep(2, torch.nn.Linear(1, 1))
    again = Snapshots(tmp_path, "key", 4, 8)
    assert not again.lost and again.path.exists()
    again.path.write_bytes(damaged(again.path.read_bytes(), 0))
    again = Snapshots(tmp_path, "key", 4, 8)
    assert again.lost and not again.path.exists()
    assert "snapshots.pt" in caplog.text and "starts anew" in caplog.text


def test_every_bit_of_a_plain_file_is_held_to_its_checksum(tmp_path: Path) -> None:
    """PyTorch alone loads such a file without a word."""
    path = tmp_path / "x.pth"
    torch.save({"a": torch.arange(5.0)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(5.0).numpy().tobytes()) + 6] ^= 1
    path.write_bytes(content)
    assert not torch.equal(torch.load(path, weights_only=True)["a"], torch.arange(5.0))
    with pytest.raises(Damaged, match=r"x\.pth: is damaged \(the checksum of its part .*data/0"):
        load_state(path)


@pytest.mark.parametrize("kind", ["folder", "compressed"])
def test_parts_that_pytorch_does_not_pack_are_refused(kind: str, tmp_path: Path) -> None:
    """Of a part whose attributes are a folder's PyTorch gives what lay in memory."""
    torch.save({"a": torch.arange(5.0)}, tmp_path / "good.pth")
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(tmp_path / "good.pth") as good, zipfile.ZipFile(path, "w") as bad:
        for info in good.infolist():
            part = good.read(info)
            if kind == "folder":
                info.external_attr = 0x10
            else:
                info.compress_type = zipfile.ZIP_DEFLATED
            bad.writestr(info, part)
    with pytest.raises(
        Damaged, match=r"x\.pth: is damaged \(its part .* is compressed, or a folder"
    ):
        load_state(path)


def test_what_is_no_tensor_is_said_without_the_way_to_run_it(tmp_path: Path) -> None:
    torch.save({"a": Path("x")}, tmp_path / "x.pth")
    with pytest.raises(Damaged, match="holds other things than tensors") as raised:
        load_state(tmp_path / "x.pth")
    assert str(raised.value).isprintable() and "trust" not in str(raised.value)
