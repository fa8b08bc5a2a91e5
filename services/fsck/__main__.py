"""`python -m services.fsck [--repair] [--purge] [--collection C]`: is all that is kept as it should be?

Exits 0 when nothing is wrong any more, 1 when something is or when it could not be found out, 2 for a wrong
word or setting.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from services.chassis.errors import ServiceError
from services.chassis.passes import service_identity
from services.chassis.settings import SettingsError, load
from services.fsck import work
from services.fsck.clients import open_keeper
from services.fsck.settings import FsckSettings
from services.fsck.terminal import parsed, print_line, tell


def main(words: Sequence[str]) -> int:
    """Does what the words say. Returns the exit code."""
    asked = parsed(words)
    try:
        settings = load(FsckSettings)
    except SettingsError as error:
        return tell(2, str(error))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        identity = service_identity(settings)
        with open_keeper(settings.meld_vector_address, identity, settings.certificates) as keeper:
            return 0 if work.run(keeper, asked, print_line) else 1
    except ServiceError as error:
        return tell(1, f"the vector service at {settings.meld_vector_address}: {error} ({error.reason})")
    except KeyboardInterrupt:
        return tell(1, "interrupted; what was mended stays mended")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
