"""A page with every table compiles, and BibTeX reads every entry.

Debian: texlive-latex-base, texlive-latex-recommended.
"""

import re
import shutil
import subprocess

import pytest
from pypdf import PdfReader
from support import simulated

from ssl_methods.analysis.bibliography import bibliography, bibtex
from ssl_methods.analysis.collect import collect

pytestmark = pytest.mark.skipif(
    not (shutil.which("pdflatex") and shutil.which("bibtex")),
    reason="pdflatex and bibtex (Debian: texlive-latex-recommended) are not installed",
)

PAGE = r"""\documentclass{article}
\usepackage[a4paper]{geometry}
\usepackage{array,booktabs,graphicx,longtable,pdflscape}
\begin{document}
\nocite{*}
%s
\bibliographystyle{plain}\bibliography{references}
\end{document}
"""


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


def test_bibtex_reads_every_entry(tmp_path):
    (tmp_path / "all.bib").write_text(bibtex(bibliography().values()))
    (tmp_path / "page.aux").write_text("\\citation{*}\n\\bibstyle{plain}\n\\bibdata{all}\n")
    done = subprocess.run(["bibtex", "page"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "Warning" not in done.stdout, done.stdout
    assert (tmp_path / "page.bbl").read_text().count("\\bibitem") == len(bibliography())
