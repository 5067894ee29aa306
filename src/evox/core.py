"""The second import root: the same objects under the names of the function syntax."""

from evox import auth
from evox import observe as _observe  # noqa: F401  what services are seen by
from evox.data import data_intent, data_io
from evox.service_proxy import proxy
from evox.services import delete, get, head, inject, options, patch, post, put, service

__all__ = [
    "auth",
    "data_intent",
    "data_io",
    "delete",
    "get",
    "head",
    "inject",
    "options",
    "patch",
    "post",
    "proxy",
    "put",
    "service",
]
