"""The program that speaks a text with espeak-ng, inside the sandbox.

Its library is called and not its program, which is not in reach in there. Reads .meld/request.json (text,
voice, words: a minute, wav: where to), writes the WAV and .meld/result.json: `rate` and `samples`, or
`unable` with the reason.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import wave
from pathlib import Path
from typing import Any

REQUEST = ".meld/request.json"
RESULT = ".meld/result.json"
LIBRARY = "libespeak-ng.so.1"
MAX_SECONDS = 1800
# The names of <espeak-ng/speak_lib.h>.
_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_RATE = 1
_STOP, _GO_ON = 1, 0
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class UnableError(Exception):
    """Why nothing is spoken."""


def main() -> None:
    """Speaks."""
    request = json.loads(Path(REQUEST).read_text("utf-8"))
    try:
        told = spoken(request["text"], request["voice"], request["words"], Path(request["wav"]))
    except UnableError as error:
        told = {"unable": str(error)}
    Path(RESULT).write_text(json.dumps(told), "utf-8")


def spoken(text: str, voice: str, words: int, wav: Path) -> dict[str, Any]:
    """Writes a WAV with the spoken text. voice: a name of espeak-ng, such as "en-gb" or "de+f3". words: a
    minute; 0 leaves it to the voice. Raises UnableError.
    """
    library = _library()
    rate = int(library.espeak_Initialize(_SYNCHRONOUS, 0, None, _DO_NOT_EXIT))
    if rate <= 0:
        raise UnableError("espeak-ng does not find its voices (Debian: espeak-ng-data)")
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise UnableError(f"espeak-ng has no voice {voice!r}")
    if words:
        library.espeak_SetParameter(_RATE, words, 0)
    samples, heard = 0, False
    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))

        def take(data: Any, count: int, _: Any) -> int:
            nonlocal samples, heard
            if data and count > 0:
                sound = ctypes.string_at(data, 2 * count)
                samples, heard = samples + count, heard or any(sound)
                file.writeframesraw(sound)
            return _STOP if samples > MAX_SECONDS * rate else _GO_ON

        # Kept by a name: the library calls it as long as it speaks.
        callback = _CALLBACK(take)
        library.espeak_SetSynthCallback(callback)
        said = text.encode() + b"\0"
        failed = library.espeak_Synth(said, len(said), 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
    if failed:
        raise UnableError(f"espeak-ng failed with {failed}")
    if samples > MAX_SECONDS * rate:
        raise UnableError(f"the text takes longer than {MAX_SECONDS // 60} minutes, which is the limit")
    if not heard:
        raise UnableError("there is nothing to be spoken in the text")
    return {"rate": rate, "samples": samples}


def _library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise UnableError("espeak-ng is not installed (Debian: espeak-ng)") from error
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    library.espeak_SetSynthCallback.argtypes = [_CALLBACK]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    return library
