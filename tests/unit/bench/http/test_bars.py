"""The images are well-formed, need nothing from elsewhere, and are as long as their figures."""

import re
from xml.etree import ElementTree as ET

from evox.bench.http.bars import Bar, bars_of, svg
from evox.bench.http.figures import Sample, rows
from evox.bench.http.measuring import Table
from evox.bench.http.questions import named

NAMESPACE = "{http://www.w3.org/2000/svg}"
BARS = [Bar("Evox, <trio>", 1000, 900, 1200, ours=True), Bar("peer & co", 600, 600, 600, ours=False)]


def test_an_image_is_xml_with_a_title_and_a_bar_for_each() -> None:
    image = ET.fromstring(svg("requests & more", BARS))
    assert image.findtext(f"{NAMESPACE}title") == "requests & more"
    long, short = image.findall(f"{NAMESPACE}rect")
    assert (long.get("class"), short.get("class")) == ("ours", "other")
    assert float(short.attrib["width"]) / float(long.attrib["width"]) == 0.6
    labels = [one.text for one in image.findall(f"{NAMESPACE}text")]
    assert labels == ["requests & more", "Evox, <trio>", "1,000", "peer & co", "600"]


def test_a_range_is_a_line_and_the_image_ends_behind_its_end() -> None:
    image = ET.fromstring(svg("x", BARS))
    (line,) = image.findall(f"{NAMESPACE}line")
    (bar, _) = image.findall(f"{NAMESPACE}rect")
    assert float(line.attrib["x1"]) < float(bar.attrib["x"]) + float(bar.attrib["width"]) < float(line.attrib["x2"])
    assert float(line.attrib["x2"]) < float(image.attrib["width"])


def test_an_image_fits_dark_pages_and_loads_nothing() -> None:
    text = svg("x", BARS)
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"url\(|@import|<script|href", text)


def test_no_bars_and_bars_of_nothing_are_images_too() -> None:
    for bars in ([], [Bar("x", 0, 0, 0, ours=True)]):
        ET.fromstring(svg("x", bars))


def test_what_is_drawn_is_the_rate_and_at_fixed_rates_the_99th_percentile() -> None:
    samples = {"evox-trio": [Sample(100, [0.001, 0.25]), Sample(300, [0.001, 0.25])], "sanic": []}
    found = rows({"evox-trio": "Evox, trio", "sanic": "Sanic"}, samples, {"sanic": "ended"}, "fastapi-uvicorn")
    closed, fixed = named(["json", "half-load"])
    assert bars_of(Table(closed, "J", "shipped", found)) == (
        "J: requests/s",
        [Bar("Evox, trio", 200, 100, 300, ours=True)],
    )
    title, (bar,) = bars_of(Table(fixed, "H", "shipped", found, 50))
    assert title == "H: p99 in ms, shorter is better"
    assert bar.value == 250
