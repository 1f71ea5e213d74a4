"""Methods, one file each; ``base`` is their contract, ``registry`` finds and makes them."""

from ssl_methods.methods.registry import (
    PLUGINS,
    beside_released_code,
    build,
    check_choice,
    create,
    describe,
    deviations,
    method_class,
    modules,
    named_by_the_user,
    names,
    register,
    resolve,
)

__all__ = [
    "PLUGINS",
    "beside_released_code",
    "build",
    "check_choice",
    "create",
    "describe",
    "deviations",
    "method_class",
    "modules",
    "named_by_the_user",
    "names",
    "register",
    "resolve",
]
