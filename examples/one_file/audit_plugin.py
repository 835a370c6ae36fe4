"""A plugin in one file: log every order and cancel. Try it: exgate serve --plugins-dir examples/one_file"""

import logging

from exgate_core import hookimpl

EXGATE_API = 1


async def audit(call, proceed):
    logging.getLogger("audit").warning("%s: %s %s", call.exchange, call.operation, dict(call.arguments))
    return await proceed(call)


@hookimpl
def wrap_operation(exchange, operation):
    return audit if operation in ("place_order", "cancel_order") else None
