"""`python -m services.backup create DIR | verify DIR | restore DIR`: copies of all that is kept.

Exits 0 when it is done, 1 when it failed, 2 for a wrong word or setting.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from services.backup import work
from services.backup.clients import open_keepers
from services.backup.failure import BackupError
from services.backup.settings import BackupSettings
from services.backup.terminal import confirmed, parsed, print_line, tell
from services.chassis.passes import service_identity
from services.chassis.settings import SettingsError, load


def main(words: Sequence[str]) -> int:
    """Does what the words say. Returns the exit code."""
    asked = parsed(words)
    try:
        settings = load(BackupSettings)
    except SettingsError as error:
        return tell(2, str(error))
    # A signal ends it as an error does: what is half made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        if asked.command == "verify":
            work.verify(asked.folder, settings.snapshot_key, print_line)
            print_line(f"whole: {asked.folder}")
            return 0
        if asked.command == "restore" and not (asked.yes or confirmed(asked.folder)):
            return tell(2, "nothing was changed: say yes, or give --yes")
        identity = service_identity(settings)
        addresses = (settings.meld_vector_address, settings.meld_session_address)
        with open_keepers(*addresses, identity, settings.certificates) as keepers:
            if asked.command == "create":
                done = work.create(asked.folder, keepers, settings.snapshot_key, asked.keep, print_line)
                print_line(f"backup: {done}")
            else:
                work.restore(asked.folder, keepers, settings.snapshot_key, print_line)
                print_line(f"restored: {asked.folder}")
    except BackupError as error:
        return tell(1, *error.lines)
    except KeyboardInterrupt:
        return tell(1, "interrupted")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
