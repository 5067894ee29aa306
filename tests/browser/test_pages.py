"""Every page in a real browser: it renders, lives, and asks nobody but the dashboard for anything."""

import re
import signal
from pathlib import Path

import pytest
from tests.browser.live import Live, Watched

PATHS = ["/", "/queues", "/calls", "/data", "/tasks", "/graph", "/errors"]
CELL = "//tr[td[1]='{service}'][th='{endpoint}']/td[3]"
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def text_of(path: str, live: Live) -> str:
    """Return what a page shows once the services were asked."""
    return {"/graph": "in the process", "/errors": "Now"}.get(path, f"pid {live.services.process.pid}")


def points(watched: Watched) -> list[int]:
    """Return how many points each chart has."""
    found: list[int] = watched.page.evaluate(
        "[...document.querySelectorAll('[data-chart]')].map(one => Number(one.dataset.points || 0))"
    )
    return found


@pytest.mark.parametrize("path", PATHS)
def test_a_page_renders_without_a_complaint_and_asks_no_other_host(steady: Live, path: str) -> None:
    watched = steady.page(path)
    watched.shows(text_of(path, steady))
    watched.requests_come(2)
    assert watched.page.locator("nav [aria-current]").get_attribute("href") == path
    assert watched.page.locator("#lost").is_hidden()
    assert watched.complaints == []
    assert {one for one in watched.requests if not one.startswith((f"{steady.url}/", "data:,"))} == set()


def test_numbers_and_charts_grow_while_requests_come(live: Live) -> None:
    stop = live.load("users", "/users/1", every=0.01)
    watched = live.page("/calls")
    cell = "xpath=" + CELL.format(service="users", endpoint="get_user")
    watched.shows("get_user")
    first, shown = watched.number(cell), points(watched)
    watched.until(lambda: watched.number(cell) > first + 20)
    watched.until(lambda: min(points(watched)) >= max(shown) + 2)
    rates = watched.page.locator("[data-chart=rate]").get_attribute("aria-label") or ""
    assert float(rates.removeprefix("rate: ")) > 1
    stop()
    watched.until(lambda: (watched.page.locator("[data-chart=rate]").get_attribute("aria-label") or "") == "rate: 0")


def test_legends_show_the_last_values_though_nobody_points_at_a_chart(steady: Live) -> None:
    watched = steady.page("/calls")
    watched.until(
        lambda: re.search(r"calls:?\s*[1-9]", watched.page.locator("[data-chart=rate] .u-legend").inner_text())
    )


@pytest.mark.parametrize("path", ["/tasks", "/queues"])
def test_focus_stays_where_it_is_and_what_was_closed_stays_closed_while_the_page_lives(steady: Live, path: str) -> None:
    watched = steady.page(path)
    watched.shows(f"pid {steady.services.process.pid}")
    if path == "/tasks":
        summary = watched.page.locator("summary").nth(1)
        summary.focus()
        watched.page.keyboard.press("Enter")
        assert watched.page.evaluate("!document.activeElement.closest('details').open")
    else:
        watched.page.locator("nav a", has_text="Data").focus()
    watched.page.evaluate("window.focused = document.activeElement")
    watched.requests_come(4)
    assert watched.page.evaluate("document.activeElement === window.focused && window.focused.isConnected")
    if path == "/tasks":
        assert watched.page.evaluate("!document.activeElement.closest('details').open")


def test_all_can_be_reached_with_the_keyboard(steady: Live) -> None:
    watched = steady.page()
    watched.shows("orders", "users")
    page = watched.page
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    for path in PATHS:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('href')") == path
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent"))
    assert {steady.services.url("users"), steady.services.url("orders")} <= reached
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('main').contains(document.activeElement)")


def test_a_page_without_scripts_still_shows_the_tables(steady: Live) -> None:
    page = steady.context(is_known=True, java_script_enabled=False).new_page()
    for path, text in (("/queues", "seats taken"), ("/", "users"), ("/tasks", "svc:users/bg:tidy"), ("/errors", "Now")):
        page.goto(f"{steady.url}{path}")
        assert text in page.locator("main").inner_text()
    assert page.locator("#lost").is_hidden()


def test_the_url_lets_one_browser_in_and_a_second_one_is_refused(live: Live) -> None:
    first = live.context(is_known=False).new_page()
    first.goto(live.entrance)
    first.wait_for_url(f"{live.url}/")
    assert "Services" in first.locator("main").inner_text()
    (cookie,) = first.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert first.evaluate("document.cookie") == ""
    other = live.context(is_known=False).new_page()
    for url in (live.url, f"{live.url}/queues", f"{live.url}/series", f"{live.url}/static/dashboard.js"):
        answer = other.goto(url)
        assert answer is not None
        assert answer.status == 401
    answer = other.goto(live.entrance)
    assert answer is not None
    assert answer.status == 403
    assert "was used" in other.locator("main").inner_text()
    assert other.context.cookies() == []


def test_a_phone_scrolls_tables_and_not_the_page(steady: Live) -> None:
    watched = steady.page(viewport={"width": 390, "height": 844}, has_touch=True)
    for path in PATHS:
        watched.page.goto(f"{steady.url}{path}")
        watched.shows(text_of(path, steady))
        assert watched.page.evaluate(WIDE) <= 0, path


LUMINANCE = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const behind = (one) => { for (; one; one = one.parentElement) { const found = getComputedStyle(one).backgroundColor;
    if (found !== "rgba(0, 0, 0, 0)") return found; } return "rgb(255, 255, 255)"; };
  const found = [];
  for (const one of document.querySelectorAll("main *, header *")) {
    const says = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!says || !one.getClientRects().length || one.closest("svg, meter")) continue;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(parse(behind(one)))];
    found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), one.outerHTML.slice(0, 80)]);
  }
  return found;
}
"""
TOKENS = """
() => {
  const found = {};
  const texts = ["text", "quiet", "pass", "warn", "fail", "one"];
  for (const name of [...texts, "back", "card", "bar", "pass-back", "warn-back", "fail-back"]) {
    const probe = document.createElement("i");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    found[name] = getComputedStyle(probe).color;
    probe.remove();
  }
  return found;
}
"""
PAIRS = [(text, back) for text in ("text", "quiet", "pass", "warn", "fail", "one") for back in ("back", "card")]
PAIRS += [("text", "bar"), ("pass", "pass-back"), ("warn", "warn-back"), ("fail", "fail-back")]


def light(color: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_both_schemes_of_colours(steady: Live, scheme: str) -> None:
    watched = steady.page(color_scheme=scheme)
    colors = watched.page.evaluate(TOKENS)
    assert (light(colors["back"]) < 0.1) == (scheme == "dark")
    for text, back in PAIRS:
        lower, higher = sorted([light(colors[text]), light(colors[back])])
        assert (higher + 0.05) / (lower + 0.05) >= 4.5, (text, back)
    for path in ("/", "/queues", "/errors", "/tasks"):
        watched.page.goto(f"{steady.url}{path}")
        watched.shows(text_of(path, steady))
        weak = [(ratio, text) for ratio, text in watched.page.evaluate(LUMINANCE) if ratio < 4.5]
        assert weak == [], path


def test_charts_take_the_colours_of_another_scheme_at_once(steady: Live) -> None:
    watched = steady.page("/calls")
    watched.until(lambda: min(points(watched)) > 1)
    watched.page.emulate_media(color_scheme="dark")
    watched.until(lambda: min(points(watched)) > 1)
    assert watched.page.locator(".uplot").count() == 3
    assert watched.complaints == []


def test_a_dashboard_that_hangs_says_so_on_the_page_until_it_goes_on(live: Live) -> None:
    watched = live.page("/queues")
    watched.shows("users")
    live.dashboard.kill(signal.SIGSTOP)
    watched.shows("The dashboard does not answer. What you see is old.", where="#lost")
    live.dashboard.kill(signal.SIGCONT)
    watched.until(lambda: watched.page.locator("#lost").is_hidden())


def test_a_dashboard_that_is_stopped_says_so_on_the_page_and_one_that_is_started_again_too(live: Live) -> None:
    watched = live.page("/errors")
    watched.shows("Now")
    port = live.url.rpartition(":")[2]
    assert live.dashboard.end() == 0
    watched.shows("The dashboard does not answer. What you see is old.", where="#lost")
    assert "Now" in watched.page.locator("#live").inner_text()
    live.start_dashboard(port)
    watched.shows("The dashboard was started again", where="#lost")
    assert "Now" in watched.page.locator("#live").inner_text()
    watched.page.goto(live.entrance)
    watched.page.wait_for_url(f"{live.url}/")
    watched.shows("users")
    assert watched.page.locator("#lost").is_hidden()


def test_O3_the_report_is_a_page_that_asks_for_nothing_and_fits_a_phone(live: Live, tmp_path: Path) -> None:
    live.report(tmp_path / "report.html")
    watched = live.page()
    watched.requests.clear()
    watched.page.goto((tmp_path / "report.html").as_uri())
    watched.shows("users", "orders", where="body")
    assert [one for one in watched.requests if not one.startswith("file:")] == []
    assert watched.complaints == []
    watched.page.set_viewport_size({"width": 390, "height": 800})
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
