"""LaTeX tables: what is marked, what is escaped, and that a page with all of them compiles."""

import re
import shutil
import subprocess

import pandas as pd
import pytest
from pypdf import PdfReader
from support import simulated

from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.latex import TIED, escape, latex
from ssl_methods.analysis.marks import marks

PAGE = r"""\documentclass{article}
\usepackage[a4paper]{geometry}
\usepackage{array,booktabs,graphicx,longtable,pdflscape}
\begin{document}
\nocite{*}
%s
\bibliographystyle{plain}\bibliography{references}
\end{document}
"""


def a_summary(**columns) -> pd.DataFrame:
    frame = pd.DataFrame({
        "method": ["top", "a", "b", "c", "shape"],
        "role": ["bound", "method", "method", "method", "control"],
        "budget": "4", "labeled": 4, "class": "1",
        "dice": [0.9, 0.80, 0.75, 0.60, 0.99],
        "hd95_voxel": [1.0, 5.0, 4.0, 4.5, 0.1],
    }).assign(jaccard=float("nan"), asd_voxel=float("nan"))  # fmt: skip
    for name, width in (("dice", 0.06), ("hd95_voxel", 0.4)):
        frame[f"{name}_low"], frame[f"{name}_high"] = frame[name] - width, frame[name] + width
    return frame.assign(**columns)


def test_best_and_tied_are_among_the_methods_and_by_the_interval_of_the_best():
    assert marks(a_summary()) == [
        {},
        {"Dice %": "best"},
        {"Dice %": "tied", "95HD voxel": "best"},
        {},
        {},
    ]


def test_equal_best_means_are_all_best_and_one_method_alone_is_none():
    equal = marks(a_summary(dice=[0.9, 0.8, 0.8, 0.1, 0.0]))
    assert [row.get("Dice %") for row in equal] == [None, "best", "best", None, None]
    assert not any(marks(a_summary(role=["bound", "method", "bound", "bound", "control"])))


def test_marked_cells_are_bold_or_carry_the_sign():
    frame = pd.DataFrame({"Method": ["a", "b"], "Dice %": ["80.0", "75.0"]}, index=["method"] * 2)
    text = latex(frame, "note", [{"Dice %": "best"}, {"Dice %": "tied"}])
    assert r"a & \textbf{80.0} \\" in text and rf"b & 75.0{TIED} \\" in text


def test_text_is_escaped_and_minus_signs_are_signs():
    assert escape("p < 0.001 & 5 %") == r"p $<$ 0.001 \& 5 \%"
    assert escape("-4.7 [-7.1, +2.3]") == "$-$4.7 [$-$7.1, +2.3]"
    assert escape("1.875mm-4 95-percent") == "1.875mm-4 95-percent"


@pytest.mark.skipif(
    not (shutil.which("pdflatex") and shutil.which("bibtex")),
    reason="pdflatex and bibtex (Debian: texlive-latex-recommended) are not installed",
)
def test_a_page_with_every_table_compiles(tmp_path):
    declared = simulated.experiment(
        methods=["supervised_all", *simulated.TRUE_DICE, "empty"], budgets=[4, 16], subsets=2,
        dataset={"name": "left_atrium", "importer": "left_atrium"},
    )  # fmt: skip
    simulated.write_results(declared, tmp_path, test_cases=4)
    collect(declared, tmp_path)
    folder = tmp_path / "simulated" / "tables"
    names = sorted(path.stem for path in folder.glob("*.tex"))
    assert {"claims", "comparisons", "published", "summary"} <= set(names)
    (folder / "page.tex").write_text(PAGE % "\n".join(rf"\input{{{name}}}" for name in names))
    for command in (["pdflatex"], ["bibtex"], ["pdflatex"], ["pdflatex"]):
        options = ["-interaction=nonstopmode", "-halt-on-error"] * (command == ["pdflatex"])
        done = subprocess.run(
            [*command, *options, "page"], cwd=folder, capture_output=True, encoding="latin-1"
        )
        assert done.returncode == 0, done.stdout[-2000:]
    too_wide = [float(width) for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)]
    assert max(too_wide, default=0) < 10, done.stdout  # a long word in a narrow column
    assert "undefined" not in done.stdout
    text = "".join(sheet.extract_text() for sheet in PdfReader(folder / "page.pdf").pages)
    # Lines may break within a name, and LaTeX draws an underscore as a line.
    run_on = "".join(text.split()).lower()
    assert "meanteacher" in run_on and "dual-taskconsistency" in run_on
