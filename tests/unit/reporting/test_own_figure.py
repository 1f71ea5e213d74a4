"""A figure of one's own is one file that the experiment names; nothing else is touched."""

import re

import pytest
import yaml
from support import simulated

from ssl_methods import rests_on
from ssl_methods.config import load_experiment
from ssl_methods.errors import UserError
from ssl_methods.plugins import PACKAGE
from ssl_methods.reporting.figures.base import SECTIONS, Drawing
from ssl_methods.reporting.figures.registry import FIGURES, drawings
from ssl_methods.reporting.report import report
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.showcase import showcase

pytestmark = pytest.mark.system  # whole reports

OWN = '''
"""Failures by case."""
from matplotlib.figure import Figure

from helper_of_mine import COLOUR
from ssl_methods.reporting.figures.base import Drawing


class Failures(Drawing):
    section = "results"

    def caption_for(self, found):
        return f"Cases of {found.experiment.name} by their lowest Dice."

    def draw(self, found):
        figure = Figure(figsize=(3, 2))
        lowest = found.measured.groupby("case")["dice"].min()
        figure.subplots().bar(range(len(lowest)), lowest, color=COLOUR)
        return figure
'''


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What a test registers, the next one does not know."""
    monkeypatch.setattr(FIGURES, "own", {})


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper_of_mine.py").write_text('COLOUR = "#000000"\n')
    (tmp_path / "lowest_dice.py").write_text(OWN)
    return tmp_path / "lowest_dice.py"


def test_it_is_on_the_page_among_the_files_and_in_the_showcase(own, tmp_path):
    results = tmp_path / "results"
    declared = simulated.collected(
        results, methods=["dtc"], budgets=[4], subsets=1, test_cases=2, figures=[str(own)]
    )
    page = report(declared, results).read_text()
    section = page[page.index('<h2 id="results">') : page.index('<h2 id="comparisons">')]
    shown = re.findall(r'<figure id="(\w+)">', section)
    assert "dice_vs_budget" in shown and shown[-1] == "lowest_dice"
    assert "Cases of simulated by their lowest Dice." in section
    figures = results / "simulated/figures"
    assert (figures / "lowest_dice.pdf").is_file() and (figures / "lowest_dice.png").is_file()
    file = tmp_path / "e.yaml"
    file.write_text(yaml.safe_dump(declared.model_dump(mode="json")))
    kept = showcase(file, results, tmp_path / "README.md")
    assert (kept / "lowest_dice.png").is_file()
    assert "![lowest_dice](lowest_dice.png)" in (kept / "README.md").read_text()


def test_the_figure_of_the_how_to_counts_what_was_missed(tmp_path):
    page = (PACKAGE.parent / "docs/how-to/add-a-figure.md").read_text()
    (tmp_path / "failures.py").write_text(re.findall(r"```python\n(.*?)```", page, re.S)[0])
    experiment = simulated.collected(
        tmp_path, methods=["supervised", "dtc"], budgets=[4], subsets=2, test_cases=2
    )
    drawing = drawings([tmp_path / "failures.py"])["failures"]
    (axis,) = drawing.draw(Results(experiment, tmp_path)).axes
    assert [bar.get_width() for bar in axis.patches] == [1]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["Supervised"]
    assert drawing.section == "results" and drawing.caption_for(None).endswith("over all budgets.")


def test_a_change_of_it_makes_the_report_again_and_nothing_else(own, tmp_path):
    without = simulated.experiment()
    declared = simulated.experiment(figures=[str(own)])

    def rests(experiment):
        rests_on.sources.cache_clear()
        from ssl_methods.provenance import _module

        _module.cache_clear()
        runs = [(rests_on.training(run), rests_on.evaluation(run)) for run in experiment.runs()]
        return runs[0], rests_on.tables(experiment, tmp_path), rests_on.report(experiment)

    before = rests(declared)
    assert rests(without)[:2] == before[:2] and rests(without)[2] != before[2]
    own.write_text(OWN + "\n# A remark.\n")
    assert rests(declared) == before
    (tmp_path / "helper_of_mine.py").write_text('COLOUR = "#ff0000"\n')
    assert rests(declared)[:2] == before[:2] and rests(declared)[2] != before[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must define one subclass of Drawing, and defines 0"),
        (OWN.replace('"results"', '"result"'), "has no section 'result'; did you mean 'results'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_is_no_figure_is_said_in_one_line(own, text, said):
    own.write_text(text)
    with pytest.raises(UserError) as refused:
        drawings([own])
    assert str(own) in str(refused.value) and said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_said_before_anything_is_made(tmp_path):
    with pytest.raises(UserError, match=r"simulated: figures: .*absent\.py: there is no such file"):
        rests_on.report(simulated.experiment(figures=[str(tmp_path / "absent.py")]))
    with pytest.raises(UserError, match="no two may have the same"):
        simulated.experiment(figures=["a/one.py", "b/one.py"])


def test_a_name_that_is_taken_is_refused(tmp_path):
    (tmp_path / "overlays.py").write_text(OWN)
    with pytest.raises(UserError, match="a figure 'overlays' exists already"):
        drawings([tmp_path / "overlays.py"])


def test_results_name_no_program_that_runs(own, tmp_path):
    """Where somebody else's results say which figures they had, none of them is imported."""
    folder = tmp_path / "moved"
    declared = simulated.collected(folder, methods=["dtc"], budgets=[4], subsets=1, test_cases=2)
    own.write_text("raise SystemExit('ran')")
    (folder / "simulated/experiment.yaml").write_text(
        yaml.safe_dump(declared.model_dump(mode="json") | {"figures": [str(own)]})
    )
    report(declared, folder)
    load_experiment(folder / "simulated/experiment.yaml")  # reading it imports nothing


def test_every_figure_of_the_package_is_a_file_of_its_folder():
    files = {file.stem for file in (PACKAGE / "reporting/figures").glob("[!_]*.py")}
    made = drawings()
    assert set(made) == files - {"base", "registry"}
    assert next(iter(made.values())).section == "results"
    for name, drawing in made.items():
        assert isinstance(drawing, Drawing) and drawing.section in SECTIONS
        assert type(drawing).draw is not Drawing.draw, name
