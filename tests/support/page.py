"""The report as a reader of HTML sees it, for tests alone."""

from html.parser import HTMLParser

FIGURES = {
    "dice_vs_budget", "metric_distributions", "time_vs_dice", "overlays", "rank_frequencies",
    "agreement", "training_curves", "lambda_warmup", "inverse_transform", "level_set_panel",
}  # fmt: skip
"""Those that results of several methods always have; there may be more."""


class Page(HTMLParser):
    """Tags that must balance, the rows of tables, and what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.fetched, self.cell = [], [], [], False
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.fetched += [
            value
            for key, value in attrs
            if key in ("src", "href", "srcset") and not value.startswith("#") and tag != "a"
        ]
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        self.cell = tag == "td"
        if self.cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.cell = False

    def handle_data(self, data):
        if self.cell:
            self.rows[-1][-1] += data
