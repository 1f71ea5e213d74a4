"""Plug-ins: found by folder without importing, or in a file of one's own that the user names."""

import subprocess
import sys

import pytest

from ssl_methods import plugins
from ssl_methods.errors import UserError
from ssl_methods.plugins import Plugins


class Shape:
    """What the plug-ins below are."""


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """A kind with two plug-ins in its folder, one of which cannot be imported."""
    folder = tmp_path / "ssl_methods_shapes" / "shapes"
    folder.mkdir(parents=True)
    for name in ("__init__.py", "base.py", "registry.py", "_private.py"):
        (folder / name).write_text("")
    (folder.parent / "__init__.py").write_text("")
    (folder / "circle.py").write_text(f"from {__name__} import Shape\nclass Circle(Shape): pass\n")
    (folder / "broken.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.setattr(plugins, "PACKAGE", folder.parent)
    monkeypatch.syspath_prepend(tmp_path)
    yield Plugins("ssl_methods_shapes.shapes", "shape")
    for name in [name for name in sys.modules if name.startswith("ssl_methods_shapes")]:
        del sys.modules[name]


def test_names_are_those_of_files_and_import_nothing(shapes):
    assert shapes.names() == ["broken", "circle"]
    assert not any(name.startswith("ssl_methods_shapes") for name in sys.modules)


def test_a_plugin_is_the_one_subclass_that_its_file_defines(shapes):
    assert shapes.subclass("circle", Shape).__name__ == "Circle"
    with pytest.raises(UserError, match="no shape 'cirle'; did you mean 'circle'"):
        shapes.subclass("cirle", Shape)


def test_a_file_of_ones_own_is_known_once_it_is_named(shapes, tmp_path):
    own = tmp_path / "square.py"
    own.write_text(f"from {__name__} import Shape\nclass Square(Shape): sides = 4\n")
    assert "square" not in shapes.names()
    assert shapes.register(own) == shapes.register(own) == "square"
    assert shapes.names() == ["broken", "circle", "square"]
    assert shapes.modules()["square"] == str(own)
    assert shapes.subclass("square", Shape).sides == 4
    assert shapes.subclass("square", Shape) is shapes.subclass("square", Shape)


def test_another_file_of_the_same_name_is_another_plugin(shapes, tmp_path):
    for sides in (4, 5):
        (tmp_path / str(sides)).mkdir()
        own = tmp_path / str(sides) / "polygon.py"
        own.write_text(f"from {__name__} import Shape\nclass P(Shape): sides = {sides}\n")
        shapes.own.clear()
        shapes.register(own)
        assert shapes.subclass("polygon", Shape).sides == sides
    with pytest.raises(UserError, match="already defined by"):
        shapes.register(tmp_path / "4" / "polygon.py")


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("circle.py", "", "a shape 'circle' exists already"),
        ("square.txt", "", "is no Python file that could define a shape"),
        ("raises.py", "1 / 0", "raises.py: ZeroDivisionError"),
        ("none.py", "", "must define one subclass of Shape, and defines 0"),
    ],
)
def test_what_is_no_plugin_is_said(name, text, message, shapes, tmp_path):
    own = tmp_path / name
    own.write_text(text)
    with pytest.raises(UserError, match=message):
        shapes.subclass(shapes.register(own), Shape)


def test_an_installed_package_adds_its_own_by_an_entry_point(tmp_path, monkeypatch):
    info = tmp_path / "shapes_of_others-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shapes-of-others\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[shapes]\ntriangle = shapes_of_others.triangle\n")
    monkeypatch.syspath_prepend(tmp_path)
    with_points = Plugins("ssl_methods.shapes_that_are_not_there", "shape", "shapes")
    assert with_points.modules() == {"triangle": "shapes_of_others.triangle"}
    assert Plugins("ssl_methods.shapes_that_are_not_there", "shape").names() == []


def test_it_needs_little_at_import():
    script = (
        "import sys, ssl_methods.plugins; print({'numpy', 'torch', 'pydantic'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
