"""What happens to services is on the page within two seconds, with its reason, and so is that it is over."""

import signal

from tests.browser.live import Live

SOON = 2.0  # seconds


def test_a_failing_source_and_a_failing_task_are_shown_within_two_seconds_and_as_recovered_when_they_are(
    live: Live,
) -> None:
    live.load("users", "/rates")
    watched = live.page("/errors")
    watched.shows("Nothing is wrong that is known.")
    live.put(source=False)
    took = watched.shows("the source of GET /rates fails", "ConnectionError: the rate server does not answer")
    assert took < SOON + live.lag
    live.put(source=False, task=False)
    took = watched.shows("task tidy fails", "RuntimeError: the disk is full")
    assert took < SOON + live.lag
    live.put()
    watched.shows("Nothing is wrong that is known.")
    recovered = watched.page.locator("li.over").all_inner_texts()
    assert len(recovered) == 2
    assert all("✓ recovered" in one for one in recovered)
    assert watched.complaints == []


def test_a_full_queue_is_shown_within_two_seconds_and_as_recovered_when_nobody_is_turned_away(live: Live) -> None:
    watched = live.page("/errors")
    watched.shows("Nothing is wrong that is known.")
    stop = live.load("users", "/reports", clients=5)
    took = watched.shows(
        "level low of service 'users' turns calls away", "the queue of level low is full: calls are turned away"
    )
    assert took < SOON + live.lag
    stop()
    watched.shows("Nothing is wrong that is known.", "✓ recovered")
    assert "level low of service 'users' turns calls away" in watched.page.locator("li.over").inner_text()


def test_the_first_page_says_it_at_once_and_that_it_is_well_again(live: Live) -> None:
    watched = live.page()
    watched.shows("Everything is fine")
    live.put(task=False)
    took = watched.shows("There is something to look at", "task tidy fails", "the disk is full")
    assert took < SOON + live.lag
    live.put()
    took = watched.shows("Everything is fine")
    assert took < SOON + live.lag


def test_a_full_queue_is_seen_in_its_row(live: Live) -> None:
    live.load("users", "/reports", clients=5)
    watched = live.page("/queues")
    watched.shows("2 of 2", "queue_full:")
    meter = watched.page.locator("tr", has_text="low").filter(has_text="queue_full").locator("meter").nth(1)
    assert meter.get_attribute("max") == "2"


def test_a_process_that_is_killed_is_shown_as_gone(live: Live) -> None:
    watched = live.page()
    watched.shows("✓ up", f"pid {live.services.process.pid}")
    live.services.kill(signal.SIGKILL)
    live.services.wait()
    watched.shows("✕ gone", f"pid {live.services.process.pid}")
    assert watched.page.locator("#lost").is_hidden()


def test_a_process_that_is_started_again_is_shown_as_up_beside_the_one_that_is_gone(live: Live) -> None:
    watched = live.page()
    watched.shows("✓ up")
    before = live.services.process.pid
    live.services.kill(signal.SIGKILL)
    live.services.wait()
    live.start_services()
    watched.shows("✕ gone", f"pid {before}", "✓ up", f"pid {live.services.process.pid}")
    assert watched.complaints == []


def test_a_process_that_hangs_is_unseen_with_the_reason_and_up_again_when_it_goes_on(live: Live) -> None:
    watched = live.page()
    watched.shows("✓ up")
    live.services.kill(signal.SIGSTOP)
    watched.shows("✕ unseen", "it gave no answer within 2 s", "Something is failing")
    live.services.kill(signal.SIGCONT)
    watched.shows("✓ up", "Everything is fine")
