"""The page, on simulated results with known truth."""

import base64
import io
import re

import pandas as pd
import pytest
from PIL import Image
from pypdf import PdfReader
from support import simulated
from support.page import FIGURES, Page

from ssl_methods.analysis.jensen import jensen_note
from ssl_methods.analysis.names import label
from ssl_methods.analysis.shown import UNKNOWN
from ssl_methods.errors import UserError
from ssl_methods.reporting import tables
from ssl_methods.reporting.report import description, report
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, SINGLE

pytestmark = pytest.mark.system  # whole reports

LATER_TABLES = ("published", "claims", "ranks", "agreement", "variance")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    declared = simulated.collected(
        folder, methods=["supervised", "dtc"], budgets=[4, 16],
        description="<script>alert(1)</script>",
        missing=(("dtc", "16", 2, 0),), test_cases=20,
    )  # fmt: skip
    simulated.write_store(declared, folder)
    return declared, folder, report(declared, folder)


def test_the_page_is_one_file_that_fetches_nothing(whole):
    _, _, path = whole
    page = Page(path.read_text())
    assert page.fetched and all(
        value.startswith("data:image/png;base64,") for value in page.fetched
    )
    pictures = len(list((path.parent / "figures").glob("*.png")))
    # Three cases have a stack of five slices, the other seventeen one slice.
    assert len(page.fetched) == pictures + 15 + 17
    for value in page.fetched:
        Image.open(io.BytesIO(base64.b64decode(value.split(",")[1]))).verify()
    assert not re.search(r"@import|url\(|https?://", path.read_text())
    assert path.stat().st_size < 10e6


def test_text_of_the_experiment_is_escaped(whole):
    text = whole[2].read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_the_main_table_says_what_the_summary_says(whole):
    declared, folder, path = whole
    summary = pd.read_csv(folder / declared.name / "tables" / "summary.csv", dtype={"budget": str})
    shown = {
        (row[0], row[1]): row
        for row in Page(path.read_text()).rows
        if len(row) == 12 and " of " in row[2]
    }
    assert len(shown) == len(summary) == 4
    for _, row in summary.iterrows():
        dice = (
            f"{row['dice'] * 100:.1f} [{row['dice_low'] * 100:.1f}, {row['dice_high'] * 100:.1f}]"
        )
        assert shown[label(row["method"]), str(row["labeled"])][3] == dice
    assert shown["DTC", "16"][2] == "2 of 3" and shown["Supervised", "4"][-2] == "1 of 60"
    found = pd.read_csv(path.parent / "tables" / "comparisons.csv", dtype={"budget": str})
    found = found[(found["pair"] == "baseline") & (found["metric"] == "dice")]
    of_dtc = found.set_index("budget").loc["4"]
    difference = "{:+.1f} [{:+.1f}, {:+.1f}]".format(
        *(100 * of_dtc[name] for name in ("difference", "low", "high"))
    )
    assert shown["DTC", "4"][4:7] == [difference, of_dtc["verdict"], "3 of 3"]
    assert shown["Supervised", "4"][4:7] == [UNKNOWN, UNKNOWN, UNKNOWN]


def test_gaps_failures_and_rules_are_stated(whole):
    text = whole[2].read_text()
    assert "1 of 12 declared runs are missing" in text
    assert "Not judged yet beside Supervised: DTC. To decide DTC: runs of 1 of 3 subsets" in text
    assert "Better than Supervised: DTC" in text
    assert "Checkpoint: the last. Post-processing: none." in text
    assert "4 of 4 rows pass the Jensen check" in text
    assert "snakemake --cores all --configfile configs/experiments/simulated.yaml" in text
    assert "cropped with the help" not in text
    assert "Luo" in text and "AAAI 2021" in text


def test_what_is_concluded_has_its_sections_in_order(whole):
    text = whole[2].read_text()
    names = re.findall(r'<h2 id="(\w+)">', text)
    assert names[:5] == ["results", "comparisons", "ranks", "variance", "claims"]
    assert "published" not in names  # nothing is published of simulated data
    section = text[text.index('id="claims"') : text.index('id="audits"')]
    whole_claims, parts = section.split("<details>")
    claims = pd.read_csv(whole[2].parent / "tables" / "claims.csv")
    run = claims[claims["part"].isna() & (claims["verdict"] != "not run")]["claim"]
    assert 0 < len(run) < 6
    assert re.findall(r"<td>(\d)</td>", whole_claims) == [f"{number:.0f}" for number in run]
    assert "Not run in this experiment: " in parts
    assert "<td>2.1</td>" in parts and "<td>2.1</td>" not in whole_claims


def test_every_figure_is_there_as_vector_and_as_picture(whole):
    folder = whole[1] / "simulated" / "figures"
    drawn = {path.stem for path in folder.glob("*.pdf")}
    assert FIGURES <= drawn == {path.stem for path in folder.glob("*.png")}
    for path in folder.glob("*.pdf"):
        assert b"CreationDate" not in path.read_bytes()
        (sheet,) = PdfReader(path).pages
        assert round(float(sheet.mediabox.width) / 72, 3) in (SINGLE, DOUBLE), path.name
        fonts = [font.get_object() for font in sheet["/Resources"]["/Font"].values()]
        assert fonts
        for font in fonts:
            assert font["/Subtype"] == "/Type0", path.name  # no Type 3
            (descendant,) = font["/DescendantFonts"]
            assert "/FontFile2" in descendant.get_object()["/FontDescriptor"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2.5e6


def test_figures_and_page_are_the_same_bytes_again(whole):
    declared, folder, path = whole
    names = [path, *(path.parent / "figures").iterdir()]
    before = {name: name.read_bytes() for name in names}
    report(declared, folder)
    assert {name: name.read_bytes() for name in names} == before


def test_one_method_one_subset_and_absent_data_are_said(tmp_path):
    declared = simulated.collected(
        tmp_path, methods=["supervised"], budgets=[4], subsets=1, test_cases=2
    )
    folder = tmp_path / next(declared.runs()).folder
    (folder / "slices.npz").unlink()
    (folder / "history.csv").unlink()
    stale = tmp_path / "simulated" / "figures" / "overlays.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier report")
    for name in LATER_TABLES:
        (tmp_path / "simulated" / "tables" / f"{name}.csv").unlink()
    text = report(declared, tmp_path).read_text()
    Page(text)
    assert not {*LATER_TABLES} & set(re.findall(r'<h2 id="(\w+)">', text))
    for name in ("overlays", "training_curves", "lambda_warmup", "level_set_panel"):
        assert f"{name}: not run." in text
    assert not stale.exists()
    assert "No comparison" in text and "share one labeled subset" in text


def test_classes_and_the_oracle_crop_are_shown(tmp_path):
    declared = simulated.collected(
        tmp_path, methods=["supervised", "dtc"], budgets=[4], subsets=2, test_cases=3,
        classes=("anterior", "posterior"),
        dataset={"name": "left_atrium", "importer": "left_atrium"},
    )  # fmt: skip
    text = report(declared, tmp_path).read_text()
    classes = [row[2] for row in Page(text).rows if len(row) == 12]
    assert classes[:3] == ["anterior", "posterior", "mean"]
    assert "cropped with the help of the reference label" in text
    published = text[text.index('id="published"') : text.index('id="audits"')]
    assert published.index("none can be compared") < published.index("<details>")
    assert "<td>DTC</td>" in published and "not comparable" in published
    found = Results(declared, tmp_path)
    question, table = found.questions["published"], found.table("published")
    assert [part.opened_by for part in question.page(table)][1]
    table.loc[0, "verdict"] = "equivalent"
    assert not any(part.opened_by for part in question.page(table))


def test_a_broken_store_is_an_error_and_no_missing_figure(tmp_path):
    declared = simulated.collected(
        tmp_path, methods=["supervised"], budgets=[4], subsets=1, test_cases=2
    )
    simulated.write_store(declared, tmp_path)
    next(tmp_path.glob("prepared/*/manifest.json")).write_text("{}")
    with pytest.raises(UserError, match=r"manifest\.json.*run 'prepare' again"):
        report(declared, tmp_path)


def test_without_tables_the_verb_to_run_is_named(tmp_path):
    with pytest.raises(UserError, match="run 'collect' first"):
        report(simulated.experiment(), tmp_path)


def test_settings_that_differ_are_not_averaged():
    table = tables.common([{"a": {"b": 1}, "c": [1, 2]}, {"a": {"b": 2}, "c": [1, 2]}])
    assert table.rows == [["a.b", "2 different values"], ["c", "[1, 2]"]]
    assert tables.side_by_side({"x": {"k": 1}, "y": {}}).rows[0] == ["k", "1", UNKNOWN]


def test_a_row_that_fails_jensen_is_named():
    summary = pd.DataFrame({"method": ["a", "b"], "budget": ["4", "4"], "jensen_ok": [True, False]})
    assert jensen_note(summary).startswith("1 of 2 rows pass") and jensen_note(summary).endswith(
        "Not: b at 4."
    )


def test_methods_of_other_packages_have_a_description_too():
    assert "another package" in description("not_in_this_package")[0]
