"""What a service is."""

from evox.services.app import adopted_routes, health_paths
from evox.services.builder import ServiceBuilder, service
from evox.services.call import OPENED, Call, begin_request, correlation_now, current_call
from evox.services.controllers import DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, Controller
from evox.services.correlation import enter_correlation, leave_correlation
from evox.services.definition import Service
from evox.services.endpoint import Endpoint, Parameter
from evox.services.functions import delete, get, head, options, patch, pending, post, put
from evox.services.http_errors import problem, problem_of
from evox.services.injection import Inject, Injected, inject
from evox.services.params import Body, Cookie, Depends, File, Form, Header, Method, Param, Query
from evox.services.running import Running, ServiceStatistics
from evox.services.sections import ConfigSection
from evox.services.sharing import Scope

__all__ = [
    "DELETE",
    "GET",
    "HEAD",
    "OPENED",
    "OPTIONS",
    "PATCH",
    "POST",
    "PUT",
    "Body",
    "Call",
    "ConfigSection",
    "Controller",
    "Cookie",
    "Depends",
    "Endpoint",
    "File",
    "Form",
    "Header",
    "Inject",
    "Injected",
    "Method",
    "Param",
    "Parameter",
    "Query",
    "Running",
    "Scope",
    "Service",
    "ServiceBuilder",
    "ServiceStatistics",
    "adopted_routes",
    "begin_request",
    "correlation_now",
    "current_call",
    "delete",
    "enter_correlation",
    "get",
    "head",
    "health_paths",
    "inject",
    "leave_correlation",
    "options",
    "patch",
    "pending",
    "post",
    "problem",
    "problem_of",
    "put",
    "service",
]
