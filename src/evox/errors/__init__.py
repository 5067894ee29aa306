"""The one tree of errors. Each says what happened, why, and what to do; constructors take data and write the message.

EvoxError                      id, what, why, fix, place; status (HTTP), exit_code (process), retryable
|- ConfigurationError          exit 78
|  |- UnknownOption            EVX-101   a name in [tool.evox], evox.toml or a builder that means nothing
|  |- InvalidOption            EVX-102   a known option with a value that does not fit
|  |- UnreadableConfiguration  EVX-103   a file that is not TOML or cannot be opened
|  |- MissingExtra             EVX-104   a backend whose packages are not installed
|  |- BackendRefused           EVX-105   a wrong password, no such database, a server that cannot do what is asked
|  |- UnsupportedSchema        EVX-106   a store made by a newer Evox
|  |- UnusableKey              EVX-107   a key that does not parse, is too short, or known to others
|  |- MissingKeys              EVX-108   something asks who calls, and there is no key to find it out with
|  `- MissingPrerequisite      EVX-109   its Python, a package or a locked version that is not there
|- DeclarationError            exit 78
|  |- DuplicateService         EVX-201   two services of one name
|  |- DuplicatePort            EVX-202   two services on one port
|  |- NoService                EVX-203   a file, package or module without a service
|  |- AmbiguousEndpoint        EVX-204   a module-level @get with no or several services to belong to
|  |- UnbindableParameter      EVX-205   an endpoint parameter that nothing in a request can fill
|  |- DuplicateEndpoint        EVX-206   two handlers on one method and path
|  |- InvalidDeclaration       EVX-207   an option of a decorator that does not fit: interval=0, cache="soon"
|  |- LateDeclaration          EVX-208   declared after the service started, so it could have no effect
|  `- NotInjectable            EVX-209   a type that injection cannot make
|- TargetNotFound              EVX-301   exit 2: `evox run` was given something that is not there
|- ImportFailed                EVX-302   exit 78: user code raised while it was imported
|- NothingToSee                EVX-303   exit 1: no running process was found, and none was named
|- CannotWrite                 EVX-304   exit 1: a file that cannot be written
|- UnusableName                EVX-305   exit 2: a name that a project or service cannot have
|- FilesInTheWay               EVX-306   exit 2: files that are there, where new ones are to be
|- NoProject                   EVX-307   exit 2: a service is to be made where no project is
|- NothingToOperate           EVX-308   exit 1: no running process in which anything can be changed
|- OperatorRefused            EVX-309   exit 1: a process did not take the operator token
|- StartupError                exit 1
|  |- StartupFailed            EVX-401   a start-up hook or lifespan raised
|  |- StartupTimeout           EVX-402   a start-up hook did not finish in time
|  |- AsyncioOnly              EVX-403   exit 78: an asyncio-only library was used under trio
|  `- ServiceGivenUp           EVX-404   crashed too often within its window
|- ServingError
|  |- PortInUse                EVX-501   exit 69
|  `- CannotBind               EVX-502   exit 78
|- OutsideRuntime              EVX-601   a facade was used where no service runs
|- ServiceUnavailable          EVX-602   503, retryable: starting, draining, restarting or failed
|- Rejected                    level, reason, retry_after: it has not run
|  |- Overloaded               EVX-603   503, retryable: a queue is full, or the wait in it was too long
|  `- TooManyRequests          EVX-604   429, retryable: one client has as many requests as it may
|- DeadlineExceeded            EVX-605   504, retryable: the time of a call was over
|- IdempotencyConflict         EVX-606   409, retryable: a request with the same idempotency key is still running
|- IdempotencyMismatch         EVX-607   422: an idempotency key that was used for another request
|- InvalidIdempotencyKey       EVX-608   400: an Idempotency-Key that cannot be one
|- Escaped                     EVX-609   what is no Exception got out of user code
|- AuthError
|  |- NotAuthenticated         EVX-801   401: no credentials
|  |- TokenRefused             EVX-802   401: a token that proves nothing
|  |  |- MalformedToken        EVX-803   not written as a token is, or not sent as one
|  |  |- UnacceptableHeader    EVX-804   a member, or an algorithm, that is not accepted
|  |  |- UnknownKey            EVX-805   signed with a key that is not there
|  |  |- WrongSignature        EVX-806   changed, or signed with another key
|  |  `- UnacceptableClaims    EVX-807   missing, of another type, or not for here and now
|  |     `- TokenExpired       EVX-808   its time is over
|  |- NotAllowed               EVX-809   403: known, and may not do this
|  |- KeysUnavailable          EVX-810   503, retryable: keys that could not be fetched
|  `- CannotIssue              EVX-811   no key here can sign
|- ProxyError
|  |- UnknownService           EVX-901   nobody knows a service of this name
|  |- UnknownOperation         EVX-902   a service has no such operation
|  |- AmbiguousOperation       EVX-903   a name that stands for several
|  |- InvalidCall              EVX-904   arguments that cannot be sent; a call made twice
|  |- RegistryUnavailable      EVX-914   503, retryable: where a service runs cannot be looked up
|  `- CallError                502; service, operation, code, detail, attempts
|     |- CallInvalid           EVX-905   it answered 400 or 422
|     |- CallDenied            EVX-906   it answered 401 or 403
|     |- CallNotFound          EVX-907   it answered 404 or 410
|     |- CallRefused           EVX-908   it answered another 4xx
|     `- CallFailed            EVX-909   it answered 5xx, or nothing
|        |- UnusableAnswer     EVX-910   an answer that means nothing
|        `- CallUnavailable    EVX-911   503, retryable: it cannot be reached, or has no time
|           |- CircuitOpen     EVX-912   503, retryable: left alone for a while; nothing was sent
|           `- CallTimeout     EVX-913   504, retryable: no answer in time
`- DataError
   |- BackendUnavailable       EVX-701   503, retryable: it cannot be reached, or did not answer in time
   |- WriteOutcomeUnknown      EVX-702   503: sent, and no answer came
   |- CapacityExceeded         EVX-703   507: no room, and records are never dropped
   |- InvalidKey               EVX-704   no string, empty, or over 1 KiB
   |- UnserializableValue      EVX-705   a value that would not come back as it was
   |- ValueTooLarge            EVX-706   507: over value_bytes
   |- CorruptValue             EVX-707   a stored value that cannot be read
   |- RecursiveLoader          EVX-708   a loader that reads what it is to load
   |- SourceTimeout            EVX-709   504, retryable: a loader took too long
   |- TransactionAborted       EVX-710   a statement in it failed, and its block went on and ended well
   |- InsideTransaction        EVX-711   data_io in a transaction on the same SQLite file
   |- TransactionLost          EVX-712   a transaction ended while it was being used
   |- MigrationRefused         EVX-713   exit 1: files of migrations, or what was applied, are not as they must be
   |- MigrationFailed          EVX-714   exit 1: a migration failed in the database
   `- MigrationsLocked         EVX-715   exit 1: another run did not end in time
"""

from evox.errors.admission import DeadlineExceeded, Overloaded, Rejected, TooManyRequests
from evox.errors.auth import (
    AuthError,
    CannotIssue,
    KeysUnavailable,
    MalformedToken,
    MissingKeys,
    NotAllowed,
    NotAuthenticated,
    TokenExpired,
    TokenRefused,
    UnacceptableClaims,
    UnacceptableHeader,
    UnknownKey,
    UnusableKey,
    WrongSignature,
)
from evox.errors.base import (
    EvoxError,
    Place,
    place_of,
)
from evox.errors.configuration import (
    ConfigurationError,
    InvalidOption,
    MissingPrerequisite,
    UnknownOption,
    UnreadableConfiguration,
)
from evox.errors.data import (
    BackendRefused,
    BackendUnavailable,
    CapacityExceeded,
    CorruptValue,
    DataError,
    InsideTransaction,
    InvalidKey,
    MissingExtra,
    RecursiveLoader,
    SourceTimeout,
    TransactionAborted,
    TransactionLost,
    UnserializableValue,
    UnsupportedSchema,
    ValueTooLarge,
    WriteOutcomeUnknown,
)
from evox.errors.declaration import (
    AmbiguousEndpoint,
    DeclarationError,
    DuplicateEndpoint,
    DuplicatePort,
    DuplicateService,
    InvalidDeclaration,
    LateDeclaration,
    NoService,
    NotInjectable,
    UnbindableParameter,
)
from evox.errors.idempotency import IdempotencyConflict, IdempotencyMismatch, InvalidIdempotencyKey
from evox.errors.looking import CannotWrite, NothingToSee
from evox.errors.migrating import MigrationFailed, MigrationRefused, MigrationsLocked
from evox.errors.operating import NothingToOperate, OperatorRefused
from evox.errors.proxy import (
    AmbiguousOperation,
    CallDenied,
    CallError,
    CallFailed,
    CallInvalid,
    CallNotFound,
    CallRefused,
    CallTimeout,
    CallUnavailable,
    CircuitOpen,
    InvalidCall,
    ProxyError,
    RegistryUnavailable,
    UnknownOperation,
    UnknownService,
    UnusableAnswer,
)
from evox.errors.running import (
    AsyncioOnly,
    CannotBind,
    Escaped,
    ImportFailed,
    OutsideRuntime,
    PortInUse,
    ServiceGivenUp,
    ServiceUnavailable,
    ServingError,
    StartupError,
    StartupFailed,
    StartupTimeout,
    TargetNotFound,
)
from evox.errors.scaffold import FilesInTheWay, NoProject, UnusableName

__all__ = [
    "AmbiguousEndpoint",
    "AmbiguousOperation",
    "AsyncioOnly",
    "AuthError",
    "BackendRefused",
    "BackendUnavailable",
    "CallDenied",
    "CallError",
    "CallFailed",
    "CallInvalid",
    "CallNotFound",
    "CallRefused",
    "CallTimeout",
    "CallUnavailable",
    "CannotBind",
    "CannotIssue",
    "CannotWrite",
    "CapacityExceeded",
    "CircuitOpen",
    "ConfigurationError",
    "CorruptValue",
    "DataError",
    "DeadlineExceeded",
    "DeclarationError",
    "DuplicateEndpoint",
    "DuplicatePort",
    "DuplicateService",
    "Escaped",
    "EvoxError",
    "FilesInTheWay",
    "IdempotencyConflict",
    "IdempotencyMismatch",
    "ImportFailed",
    "InsideTransaction",
    "InvalidCall",
    "InvalidDeclaration",
    "InvalidIdempotencyKey",
    "InvalidKey",
    "InvalidOption",
    "KeysUnavailable",
    "LateDeclaration",
    "MalformedToken",
    "MigrationFailed",
    "MigrationRefused",
    "MigrationsLocked",
    "MissingExtra",
    "MissingKeys",
    "MissingPrerequisite",
    "NoProject",
    "NoService",
    "NotAllowed",
    "NotAuthenticated",
    "NotInjectable",
    "NothingToOperate",
    "NothingToSee",
    "OperatorRefused",
    "OutsideRuntime",
    "Overloaded",
    "Place",
    "PortInUse",
    "ProxyError",
    "RecursiveLoader",
    "RegistryUnavailable",
    "Rejected",
    "ServiceGivenUp",
    "ServiceUnavailable",
    "ServingError",
    "SourceTimeout",
    "StartupError",
    "StartupFailed",
    "StartupTimeout",
    "TargetNotFound",
    "TokenExpired",
    "TokenRefused",
    "TooManyRequests",
    "TransactionAborted",
    "TransactionLost",
    "UnacceptableClaims",
    "UnacceptableHeader",
    "UnbindableParameter",
    "UnknownKey",
    "UnknownOperation",
    "UnknownOption",
    "UnknownService",
    "UnreadableConfiguration",
    "UnserializableValue",
    "UnsupportedSchema",
    "UnusableAnswer",
    "UnusableKey",
    "UnusableName",
    "ValueTooLarge",
    "WriteOutcomeUnknown",
    "WrongSignature",
    "place_of",
]
