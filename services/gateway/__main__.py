"""`python -m services.gateway`."""

from __future__ import annotations

import sys

from services.chassis.settings import SettingsError, load
from services.chassis.start import StartError
from services.gateway.server import GatewayServer
from services.gateway.settings import GatewaySettings


def main() -> None:
    """Serves until SIGTERM or SIGINT. One line and exit code 2 for a bad setting, 1 when it cannot start."""
    try:
        server = GatewayServer(load(GatewaySettings))
    except (SettingsError, StartError) as error:
        sys.stderr.write(f"gateway: {error}\n")
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    server.run()


if __name__ == "__main__":
    main()
