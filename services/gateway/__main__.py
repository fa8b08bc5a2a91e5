"""`python -m services.gateway`."""

from __future__ import annotations

import sys

from services.chassis.server import StartError
from services.chassis.settings import SettingsError, load
from services.gateway.server import GatewayServer
from services.gateway.settings import GatewaySettings


def main() -> None:
    """Serves until SIGTERM or SIGINT; one line and exit code 1 when it cannot start."""
    try:
        server = GatewayServer(load(GatewaySettings))
    except (SettingsError, StartError) as error:
        sys.exit(f"gateway: {error}")
    server.run()


if __name__ == "__main__":
    main()
