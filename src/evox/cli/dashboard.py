"""``evox dashboard``: a live page of what runs."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncclick as click

__all__ = ["command"]


EXAMPLES = """\b
Examples:
  evox dashboard
  evox dashboard --no-browser --port 9000
"""


@click.command(name="dashboard", epilog=EXAMPLES)
@click.option("--url", "urls", multiple=True, metavar="URL", help="A service to look at; may be repeated.")
@click.option("--token-from", metavar="SOURCE", help="Token to show to those: env:NAME or a file.")
@click.option("--cafile", type=click.Path(exists=True), help="Certificates in PEM that their servers are trusted by.")
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), default=8100, help="Port to listen on.  [default: 8100]")
@click.option("--backend", type=click.Choice(["auto", "trio", "asyncio"]), default="auto", help="Event loop.")
@click.option("--history", metavar="FILE", help="Where samples for charts are kept.  [default: in your state folder]")
@click.option("--no-browser", is_flag=True, help="Only print the URL.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line instead of text.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(**given: Any) -> Callable[[], int]:
    """Show what runs, live: the processes of this user, and those at the URLs named.

    The URL that is printed lets one browser in. Nothing can be changed through it.
    """

    def run() -> int:
        from evox.errors import EvoxError
        from evox.orchestrator import Console

        console = Console(as_json=given["as_json"], trace=given["trace"])
        try:
            return _serve(console, given)
        except EvoxError as error:
            console.error(error)
            return error.exit_code

    return run


def _serve(console: Any, given: Mapping[str, Any]) -> int:
    import platformdirs

    from evox.config import Loaded, settings_of
    from evox.observe.manager import Sessions, dashboard_service
    from evox.observe.naming import sources_of
    from evox.orchestrator import Found, Plan, RunOptions, serve
    from evox.runtime import choose

    sessions = Sessions()
    host, port = given["host"], given["port"]
    file = Path(given["history"] or platformdirs.user_state_path("evox") / "dashboard.sqlite").resolve()
    named = sources_of(given["urls"], given["token_from"], given["cafile"])
    service = dashboard_service(
        sessions,
        sources=named,
        history=file,
        hosts={"127.0.0.1", "localhost", "[::1]", host if ":" not in host else f"[{host}]"},
    )
    settings = settings_of(
        {"host": host, "port": port, "observe": {"access": "off", "socket": False}}, "the command line"
    )
    options = RunOptions(host=host, port=port, as_json=given["as_json"], trace=given["trace"])
    found = [Found(service, "evox.observe.manager", "evox dashboard")]

    def tell(urls: Mapping[str, str]) -> None:
        url = f"{urls[service.name]}/enter?code={sessions.code}"
        console.dashboard(url)
        if not given["no_browser"] and _is_seen():
            import webbrowser

            webbrowser.open(url)

    loop = choose(given["backend"], source="the command line", asyncio_because=[])
    return serve(Plan(options, Loaded(settings, Path.cwd()), found, loop, on_started=tell))


def _is_seen() -> bool:
    """Whether somebody is there to see a browser: never in a pipe, and never in CI."""
    return sys.stdout.isatty() and sys.stdin.isatty() and not os.environ.get("CI")
