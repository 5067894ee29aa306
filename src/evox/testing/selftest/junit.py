"""JUnit: results as the XML that systems for continuous integration read."""

import re
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from evox.testing.selftest.results import Result

__all__ = ["junit"]

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Sequence[Result]) -> str:
    """Return results as a JUnit document: one suite for each group, one case for each check.

    Args:
        results: In the order in which they are to stand.
    """
    root = ET.Element("testsuites", {"name": "evox health --test"} | _counts(results))
    for group in dict.fromkeys(one.group for one in results):
        own = [one for one in results if one.group == group]
        suite = ET.SubElement(root, "testsuite", {"name": f"evox.{group}"} | _counts(own))
        for one in own:
            _add(suite, one)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="utf-8"?>\n', "\n")
    )


def _add(suite: ET.Element, one: Result) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=f"evox.{one.group}", name=_legal(one.name), time=f"{one.seconds:.3f}"
    )
    why = _legal(one.why)
    if one.skipped:
        ET.SubElement(case, "skipped", message=why)
    elif not one.ok:
        failure = ET.SubElement(case, "failure", message=why.partition("\n")[0], type="Failed")
        failure.text = why
    elif why:
        ET.SubElement(case, "system-out").text = why


def _counts(results: Sequence[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(not one.ok for one in results)),
        "errors": "0",
        "skipped": str(sum(one.skipped for one in results)),
        "time": f"{sum(one.seconds for one in results):.3f}",
    }


def _legal(text: str) -> str:
    """Replace what XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
