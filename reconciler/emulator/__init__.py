"""A local Cloudflare Vectorize v2: the HTTP API, its limits, its write-ahead log, its errors, and faults.

Three ways to use it:

- `running()` starts it on loopback in a thread of this process, for tests and demonstrations;
- `serve()` runs it in the foreground until it is interrupted;
- `create_app()` gives the ASGI application, for in-process clients or another server.

An `Emulator` is the service itself: it holds the indexes, the log, the ordered faults and the record of every
request. Its methods are the remote control; the same controls exist over HTTP (see `control.py`).

This package shares no code with the rest of the project, so that client and emulator cannot share a mistake.
"""

try:
    import starlette as _starlette
    import uvicorn as _uvicorn
except ImportError as error:
    raise ImportError(
        "The emulator needs starlette and uvicorn. Install them: pip install 'starlette>=0.40' 'uvicorn>=0.30'"
    ) from error

from reconciler.emulator.app import ConnectionDropped, create_app
from reconciler.emulator.emulator import Emulator
from reconciler.emulator.faults import Fault, FaultBook
from reconciler.emulator.log import Mutation
from reconciler.emulator.record import Entry
from reconciler.emulator.server import RunningEmulator, running, serve
from reconciler.emulator.settings import Limits, Settings
from reconciler.emulator.storage import DataFileError

__all__ = [
    "ConnectionDropped",
    "DataFileError",
    "Emulator",
    "Entry",
    "Fault",
    "FaultBook",
    "Limits",
    "Mutation",
    "RunningEmulator",
    "Settings",
    "create_app",
    "running",
    "serve",
]

del _starlette, _uvicorn
