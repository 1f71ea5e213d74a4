"""The report as a person meets it: in Chromium, light and dark, without JavaScript, printed.

Debian: chromium, chromium-driver.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from pypdf import PdfReader
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from support import simulated

from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.names import label
from ssl_methods.reporting.report import report

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="chromium and chromedriver (Debian: chromium-driver) are not installed",
)

METHODS = ["supervised_all", "supervised", "mean_teacher", "dtc", "empty"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page of simulated results, and the folder of its tables."""
    results = tmp_path_factory.mktemp("results")
    declared = simulated.experiment(methods=METHODS, budgets=[4, 16], subsets=2)
    simulated.write_results(declared, results, test_cases=6, missing=(("dtc", "16", 1, 0),))
    simulated.write_store(declared, results)
    collect(declared, results)
    return report(declared, results), results / "simulated/tables"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, written):
    """The page, freshly loaded."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(written[0].as_uri())
    return browser


def test_no_error_and_no_request(page):
    assert page.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [
        e["params"]["request"]["url"] for e in sent if e["method"] == "Network.requestWillBeSent"
    ]
    assert urls and all(url.startswith(("file:", "data:")) for url in urls)


ROWS = "return [...arguments[0].tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))"


def rows_of(table):
    return table.parent.execute_script(ROWS, table)


def heading(table, name):
    return next(
        button
        for button in table.find_elements(By.CSS_SELECTOR, "th button")
        if button.text == name
    )


UNITS = {"s": 1, "min": 60, "h": 3600}


def as_numbers(column: pd.Series) -> pd.Series:
    """The number that a cell starts with, times of any unit in seconds."""
    parts = column.str.extract(r"^(?:< )?([-+]?[\d.]+) ?(s|min|h)?(?![\w])")
    return parts[0].astype(float) * parts[1].map(UNITS).fillna(1)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("results", "Dice %"), ("results", "95HD voxel"), ("results", "Time"),
        ("results", "Method"), ("comparisons", "p (Holm)"), ("costs", "Training"),
    ],
)  # fmt: skip
def test_a_table_sorts_as_pandas_does(page, section, name):
    table = page.find_element(By.CSS_SELECTOR, f"#{section} ~ .scroll table.sortable")
    before = rows_of(table)
    place = [th.text for th in table.find_elements(By.TAG_NAME, "th")].index(name)
    column = pd.Series([row[place] for row in before])
    keys = column if name == "Method" else as_numbers(column)
    assert keys.nunique() > 1
    for ascending in (True, False):
        heading(table, name).click()
        keyed = pd.DataFrame({"key": keys, "unknown": keys.isna()})
        order = keyed.sort_values(
            ["unknown", "key"], ascending=[True, ascending], kind="stable"
        ).index
        assert rows_of(table) == [before[i] for i in order]
        before = rows_of(table)
        column = pd.Series([row[place] for row in before])
        keys = column if name == "Method" else as_numbers(column)


def test_the_main_table_in_order_of_dice_is_that_of_the_measurements(page, written):
    summary = pd.read_csv(written[1] / "summary.csv", dtype={"budget": str})
    table = page.find_element(By.CSS_SELECTOR, "#results ~ .scroll table.sortable")
    heading(table, "Dice %").click()
    shown = [row[0] for row in rows_of(table)]
    dice = summary.sort_values("dice", kind="stable")
    assert shown == [label(name) for name in dice["method"]]


def test_the_slider_moves_and_the_picture_changes(page):
    stack = page.find_element(By.CSS_SELECTOR, ".stack")
    slider, label = (stack.find_element(By.TAG_NAME, tag) for tag in ("input", "label"))

    def shown():
        (leaf,) = [x for x in stack.find_elements(By.CLASS_NAME, "leaf") if x.is_displayed()]
        image = leaf.find_element(By.TAG_NAME, "image").get_attribute("href")
        return leaf.get_attribute("data-index"), image

    assert shown()[0] == "20" and label.text == "slice 3 of 5 (20)"
    page.execute_script("arguments[0].scrollIntoView()", stack)
    before, picture = stack.find_element(By.CSS_SELECTOR, ".shown svg").screenshot_as_png, shown()
    slider.send_keys(Keys.ARROW_RIGHT)
    assert shown()[0] == "25" and label.text == "slice 4 of 5 (25)" and shown()[1] != picture[1]
    assert stack.find_element(By.CSS_SELECTOR, ".shown svg").screenshot_as_png != before
    panels = stack.find_elements(By.CSS_SELECTOR, ".shown figcaption")
    assert len(panels) == len(METHODS) and "DTC" in {
        panel.text.rsplit(" ", 1)[0] for panel in panels
    }


TEXTS = """
const found = [];
const clear = colour => /, 0\\)$/.test(colour) || colour === "transparent";
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
  let behind = element;
  while (behind && clear(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  found.push([getComputedStyle(element).color, getComputedStyle(behind).backgroundColor,
              element.textContent.trim().slice(0, 40)]);
}
return found;
"""


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible(page, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page.execute_script("document.querySelectorAll('details').forEach(it => { it.open = true; })")
    texts = page.execute_script(TEXTS)
    assert len(texts) > 300
    paper = luminance(texts[0][1])
    assert paper > 0.9 if scheme == "light" else paper < 0.1
    for ink, behind, text in texts:
        low, high = sorted([luminance(ink), luminance(behind)])
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{text}: {ink} on {behind}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_core_finds_nothing(page, scheme):
    """Accessibility rules by a tool of their own, everything opened."""
    package = find_spec("axe_core_python")
    if package is None or not package.submodule_search_locations:
        pytest.skip("axe-core-python is not installed")
    script = Path(package.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page.execute_script("for (const it of document.querySelectorAll('details')) it.open = true")
    page.execute_script(script)
    page.set_script_timeout(120)
    found = page.execute_async_script("const done = arguments[0]; axe.run().then(done)")
    assert len(found["passes"]) > 20
    assert [(it["id"], it["nodes"][0]["html"][:200]) for it in found["violations"]] == []


def test_another_case_is_chosen(page):
    page.find_element(By.CSS_SELECTOR, ".chosen summary").click()
    cases = page.find_elements(By.CSS_SELECTOR, ".chosen .stack")
    names = [it.get_attribute("aria-label") for it in cases]
    page.find_element(By.CSS_SELECTOR, ".chosen select").send_keys(Keys.ARROW_DOWN)
    assert [name for it, name in zip(cases, names, strict=True) if it.is_displayed()] == names[1:2]


def test_a_phone_does_not_scroll_the_page_sideways(page):
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390


def test_it_prints(page):
    reader = PdfReader(io.BytesIO(base64.b64decode(page.print_page())))
    assert len(reader.pages) > 1
    text = " ".join(" ".join(sheet.extract_text() for sheet in reader.pages).split())
    for words in (
        "Compared with Supervised",
        "mean_teacher",
        "What the spread is made of",
        "Audits",
    ):
        assert words in text
    assert "slice 3 of 5" not in text  # the slider is not printed


def test_without_javascript_all_is_there(page, written):
    with_scripts = page.execute_script("return document.querySelectorAll('td').length")
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.get(written[0].as_uri())
    for selector in ("h2", "table.sortable", "figure img", ".leaf", "p"):
        for element in page.find_elements(By.CSS_SELECTOR, selector):
            if element.get_attribute("class") != "slider" and not _folded(element):
                assert element.size["height"] > 0, element.get_attribute("outerHTML")[:80]
    assert page.find_elements(By.CSS_SELECTOR, "th button") == []
    assert not page.find_element(By.CLASS_NAME, "slider").is_displayed()
    assert len(page.find_elements(By.TAG_NAME, "td")) == with_scripts
    assert len(page.find_elements(By.CSS_SELECTOR, ".leaf")) == 18  # 3 x 5, and 3 others


def _folded(element) -> bool:
    return bool(element.find_elements(By.XPATH, "ancestor::details"))
