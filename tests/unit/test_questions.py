"""Questions: every one keeps what it declares, and one of the user's own is one file."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from support import simulated

from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.questions.base import NUMBER, TEXT, WHOLE, Measured, Question
from ssl_methods.analysis.questions.registry import QUESTIONS, questions, table_names
from ssl_methods.analysis.table_files import read_table, write_table
from ssl_methods.errors import UserError
from ssl_methods.reporting.report import sections
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.showcase import showcase
from ssl_methods.rests_on import tables

OWN = '''"""Which test case is hardest for each method?"""

import pandas as pd

from ssl_methods.analysis.questions.base import NUMBER, TEXT, WHOLE, Question


class HardestCase(Question):
    title = "The hardest case of each method"
    columns = {"method": TEXT, "role": TEXT, "labeled": WHOLE, "case": TEXT, "dice": NUMBER}

    def answer(self, measured):
        means = measured.cases.groupby(["method", "role", "labeled", "case"], as_index=False)
        means = means["dice"].mean()
        worst = means.groupby(["method", "labeled"])["dice"].idxmin()
        return means.loc[worst, list(self.columns)]

    def note(self, table):
        return "Mean over runs, with 50 % & more."
'''


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Collected with a question of one's own."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "hardest_case.py").write_text(OWN)
    declared = simulated.collected(
        folder, methods=["supervised", "dtc", "supervised_all", "mean_shape"], budgets=[4, 1.0],
        test_cases=4, classes=("liver", "tumour"), questions=[str(folder / "hardest_case.py")],
    )  # fmt: skip
    return declared, folder


@pytest.mark.parametrize("name", [*QUESTIONS.packaged, "hardest_case"])
def test_the_columns_that_are_declared_are_written(name, finished):
    declared, folder = finished
    question = questions(declared)[name]
    heading = pd.read_csv(folder / "simulated" / "tables" / f"{name}.csv", nrows=0).columns
    fixed = [column for column in question.columns if not column.startswith("<")]
    assert [column for column in heading if column in fixed] == fixed
    table = read_table(folder / "simulated" / "tables" / f"{name}.csv", question.columns)
    others = table[[column for column in heading if column not in fixed]]
    assert not len(others.columns) or "<" in "".join(question.columns)
    assert all(pd.api.types.is_numeric_dtype(kind) for kind in others.dtypes)
    for column, kind in question.columns.items():
        if column in table and kind == WHOLE:
            assert (table[column].dropna() % 1 == 0).all()


@pytest.mark.parametrize("name", QUESTIONS.packaged)
def test_a_table_without_rows_has_its_heading_and_is_read_and_shown(name, finished, tmp_path):
    question = questions(finished[0])[name]
    none = pd.DataFrame(columns=[it for it in question.columns if it[0] != "<"])
    write_table(tmp_path / "none.csv", none, question.columns)
    back = read_table(tmp_path / "none.csv", question.columns)
    assert list(back) == list(none) and back.empty
    assert question.shown(back).empty and isinstance(question.note(back), str)


@pytest.mark.system
def test_asked_twice_it_says_the_same_bytes(finished):
    declared, folder = finished
    made = folder / "simulated" / "tables"
    before = {path.name: path.read_bytes() for path in made.glob("*.*")}
    collect(declared, folder)
    assert {path.name: path.read_bytes() for path in made.glob("*.*")} == before


def test_ones_own_is_in_every_form_in_the_sums_and_on_the_page(finished):
    declared, folder = finished
    made = folder / "simulated" / "tables"
    assert "hardest_case.csv" in (made / "SHA256SUMS").read_text()
    assert "| Method | Role | Labeled | Case | Dice % |" in (made / "hardest_case.md").read_text()
    assert r"50 \% \& more" in (made / "hardest_case.tex").read_text()
    assert "hardest_case" in table_names(declared)
    last = sections(Results(declared, folder))[-1]
    assert (last.name, last.title) == ("hardest_case", "The hardest case of each method")
    table, note = last.blocks
    assert table.table is not None and len(table.table.rows) == len(
        read_table(made / "hardest_case.csv")
    )
    names = [link.name for link in note.files]
    assert names == ["tables/hardest_case.csv", ".md", ".tex"]
    assert note.files[0].saved_as == "hardest_case.csv" and not note.files[1].saved_as


def test_a_showcase_holds_the_files_that_questions_declare(finished):
    declared, folder = finished
    own = Path(declared.questions[0])
    (folder / "mine.yaml").write_text(yaml.safe_dump(declared.model_dump(mode="json")))
    kept = {
        it.name for it in showcase(folder / "mine.yaml", folder, folder / "README.md").iterdir()
    }
    with_text = {"summary", "comparisons", "comparisons_with_best", "published", "claims", "audits"}
    tables = {f"{name}.csv" for name in QUESTIONS.packaged} | {f"{name}.tex" for name in with_text}
    tables |= {"runs.csv", "audits.md", f"{own.stem}.csv", f"{own.stem}.tex"}
    assert kept == tables | {"README.md"}


def test_editing_ones_own_question_asks_for_the_tables_again(finished):
    declared, folder = finished
    file = folder / "hardest_case.py"
    before = tables(declared, folder)
    with_comment = subprocess.run(
        [sys.executable, "-c", f"""
from pathlib import Path
from ssl_methods.config import load_experiment
from ssl_methods.reporting.showcase import showcase
from ssl_methods.rests_on import tables
file = Path({str(file)!r}); text = file.read_text()
declared = load_experiment({declared.model_dump(mode="json")!r})
first = tables(declared, Path({str(folder)!r}))
file.write_text(text.replace("idxmin", "idxmax"))
import ssl_methods.provenance as p, ssl_methods.rests_on as r
p._module.cache_clear(); r.sources.cache_clear()
print(first, "|", tables(declared, Path({str(folder)!r})))
file.write_text(text)
"""],
        capture_output=True, text=True,
    )  # fmt: skip
    first, second = with_comment.stdout.strip().split(" | ")
    assert first == before and second != before


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("ranks.py", OWN, "a question 'ranks' exists already"),
        ("cases.py", OWN, "is the name of another table"),
        ("empty.py", "", "must define one subclass of Question, and defines 0"),
    ],
)
def test_what_is_no_question_is_said(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    declared = simulated.experiment(questions=[str(tmp_path / name)])
    with pytest.raises(UserError, match=message):
        questions(declared)


def test_names_are_listed_without_importing_a_question(finished):
    script = (
        "import sys; from ssl_methods.analysis.questions.registry import table_names; "
        "from ssl_methods.config import load_experiment; "
        "it = {'name': 'a', 'dataset': {'name': 'b', 'importer': 'phantom'}, 'budgets': [4], "
        "'methods': ['supervised']}; "
        "print(len(table_names(load_experiment(it))), {'pandas', 'torch'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip().endswith("set()"), done.stdout + done.stderr


def test_a_question_that_answers_nothing_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="must define answer"):
        Question("none", simulated.experiment()).answer(Measured.__new__(Measured))


def test_cells_are_shown_as_their_metric_is():
    class Own(Question):
        columns = {"case": TEXT, "dice": NUMBER, "hd95_mm": NUMBER, "runs": WHOLE, "gap": NUMBER}

    row = {"case": "007", "dice": 0.8125, "hd95_mm": 3.14159, "runs": 3, "gap": float("nan")}
    shown = Own("own", simulated.experiment()).shown(pd.DataFrame([row]))
    assert list(shown) == ["Case", "Dice %", "95HD mm", "Runs", "Gap"]
    assert shown.to_numpy().tolist() == [["007", "81.2", "3.14", "3", "\N{EN DASH}"]]
