"""The gateway as processes: gunicorn with one application in each worker."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from services.chassis import passes, telemetry
from services.chassis.start import StartError
from services.gateway.app import create_app
from services.gateway.clients import Addresses, Clients
from services.gateway.door import Door, slots_for
from services.gateway.identity.external import ExternalLogin
from services.gateway.limits import Drain, Patience
from services.gateway.metrics import WorkerMetrics, retire
from services.gateway.problem import ProblemError
from services.gateway.settings import GatewaySettings
from services.gateway.spool import Spool
from services.gateway.worker import BoundedWorker

_BACKLOG = 1024
# Part of the drain that streams get before they are told to end.
_STREAM_SHARE = 0.6


class GatewayServer(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
    """Listens, forks workers, and keeps them alive until SIGTERM or SIGINT.

    Raises StartError when the address cannot be listened on.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self._socket = listen(settings.flask_host, settings.port)
        _log_to_stderr(settings)
        self._runtime = Path(tempfile.mkdtemp(prefix="meldrag-gateway-"))
        self._spool = _spool(settings, self._runtime)
        self._drain = Drain()
        # Filled in each worker, after the fork.
        self._held = contextlib.ExitStack()
        super().__init__()

    def load_config(self) -> None:
        """The configuration; gunicorn's own command line and files are not read."""
        settings = self.settings
        values: dict[str, Any] = {
            "bind": f"fd://{self._socket.fileno()}",
            "workers": settings.gunicorn_workers,
            "threads": settings.gunicorn_threads,
            "timeout": settings.gunicorn_timeout,
            "keepalive": settings.gunicorn_keepalive,
            "graceful_timeout": max(1, round(settings.meld_drain_seconds)),
            "worker_class": BoundedWorker,
            "worker_connections": 1000 + settings.gunicorn_threads,
            "reload": settings.development,
            "preload_app": False,
            "control_socket_disable": True,
            # Whose headers say where a request comes from is our own check: gunicorn would take the scheme
            # of everybody on this machine.
            "forwarded_allow_ips": "",
            "proc_name": "meld-rag-gateway",
            "limit_request_line": 8190,
            "limit_request_fields": 100,
            "limit_request_field_size": 8190,
            "logger_class": _QuietLogger,
            "child_exit": self._child_exit,
            "worker_exit": self._worker_exit,
            "on_exit": self._on_exit,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application of a worker; runs after the fork."""
        self._held.enter_context(telemetry.configure("gateway", self.settings))
        addresses = Addresses(
            self.settings.meld_agents_address,
            self.settings.meld_session_address,
            self.settings.meld_vector_address,
        )
        clients = Clients(addresses, passes.identity(self.settings), self.settings.certificates)
        self._held.callback(clients.close)
        metrics = WorkerMetrics(self._runtime, telemetry.prometheus_text)
        if self.settings.metrics_enabled:
            metrics.start()
            self._held.callback(metrics.stop)
        slots = slots_for(self.settings.gunicorn_threads)
        return create_app(
            Door(
                self.settings,
                clients,
                slots,
                self._drain,
                Patience(self.settings.meld_patience_seconds),
                metrics.merged,
                external=_external(self.settings),
                spool=Spool(self._spool),
            )
        )

    def begin_drain(self) -> None:
        """Called in a worker's signal handler."""
        self._drain.begin(self.settings.meld_drain_seconds * _STREAM_SHARE)

    def _worker_exit(self, arbiter: Any, worker: Any) -> None:
        del arbiter, worker
        self._held.close()

    def _child_exit(self, arbiter: Any, worker: Any) -> None:
        del arbiter
        retire(self._runtime, worker.pid)

    def _on_exit(self, arbiter: Any) -> None:
        del arbiter
        shutil.rmtree(self._runtime, ignore_errors=True)


def _spool(settings: GatewaySettings, runtime: Path) -> Path:
    """A folder that all workers know, without what a gateway that was killed has left there.

    Raises StartError where there can be none.
    """
    if not settings.meld_spool_dir:
        return runtime / "spool"
    folder = Path(settings.meld_spool_dir) / "meldrag-spool"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Another gateway that works there now sweeps itself.
        with contextlib.suppress(ProblemError), Spool(folder).alone():
            pass
    except OSError as error:
        raise StartError(f"MELD_SPOOL_DIR cannot be used: {error.strerror}") from None
    return folder


def _external(settings: GatewaySettings) -> ExternalLogin | None:
    return ExternalLogin(settings) if settings.login_required and settings.meld_oidc_issuer else None


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises StartError when there is none to be had."""
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((bare, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from None
    return listener


def _log_to_stderr(settings: GatewaySettings) -> None:
    """The parent's lines in the form of its workers'. It has no telemetry: that does not survive a fork."""
    handler = logging.StreamHandler()
    formatter = telemetry.TextFormatter if settings.log_format == "text" else telemetry.JsonFormatter
    handler.setFormatter(formatter("gateway"))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)


class _QuietLogger(Logger):  # type: ignore[misc]
    """gunicorn's own lines go through the process's logging; requests are logged by the application."""

    def setup(self, cfg: Any) -> None:
        del cfg
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        del resp, req, environ, request_time
