"""LaTeX tables: what is marked, what is escaped."""

import pandas as pd

from ssl_methods.analysis.latex import TIED, escape, latex
from ssl_methods.analysis.marks import marks


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
    frame["verdict_with_best"] = [None, None, "undecided", "worse", None]
    return frame.assign(**columns)


def test_best_and_tied_are_among_the_methods_and_by_the_verdict_beside_the_best():
    assert marks(a_summary(), "dice") == [
        {},
        {"Dice %": "best"},
        {"Dice %": "tied", "95HD voxel": "best"},
        {},
        {},
    ]
    equivalent = a_summary(verdict_with_best=[None, None, "worse", "equivalent", "equivalent"])
    assert [row.get("Dice %") for row in marks(equivalent, "dice")][2:] == [None, "tied", None]
    earlier = marks(a_summary().drop(columns="verdict_with_best"), "dice")
    assert not any("tied" in row.values() for row in earlier)


def test_equal_best_means_are_all_best_and_one_method_alone_is_none():
    equal = marks(a_summary(dice=[0.9, 0.8, 0.8, 0.1, 0.0]), "dice")
    assert [row.get("Dice %") for row in equal] == [None, "best", "best", None, None]
    alone = a_summary(role=["bound", "method", "bound", "bound", "control"])
    assert not any(marks(alone, "dice"))


def test_marked_cells_are_bold_or_carry_the_sign():
    frame = pd.DataFrame({"Method": ["a", "b"], "Dice %": ["80.0", "75.0"]}, index=["method"] * 2)
    text = latex(frame, "note", [{"Dice %": "best"}, {"Dice %": "tied"}])
    assert r"a & \textbf{80.0} \\" in text and rf"b & 75.0{TIED} \\" in text


def test_text_is_escaped_and_minus_signs_are_signs():
    assert escape("p < 0.001 & 5 %") == r"p $<$ 0.001 \& 5 \%"
    assert escape("-4.7 [-7.1, +2.3]") == "$-$4.7 [$-$7.1, +2.3]"
    assert escape("1.875mm-4 95-percent") == "1.875mm-4 95-percent"
