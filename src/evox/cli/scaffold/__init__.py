"""What ``evox new`` makes: names, templates, and writing all of it or nothing."""

from evox.cli.scaffold.making import Made, make_project, make_service

__all__ = ["Made", "make_project", "make_service"]
