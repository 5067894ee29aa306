"""The second import root: the same objects under the names of the function syntax."""

from evox.services import delete, get, head, inject, options, patch, post, put, service

__all__ = ["delete", "get", "head", "inject", "options", "patch", "post", "put", "service"]
