"""An exit that leaves assertions behind."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from services.agents.code.inside.endings import left_behind

CHECK = "from m_of_endings import f\n\n"


@pytest.mark.parametrize(
    ("code", "check", "place"),
    [
        ("raise SystemExit", f"{CHECK}assert f()\n", "check.py:3"),
        ("def f():\n    raise SystemExit", f"{CHECK}assert f()\n", "check.py:3"),
        ("def f():\n    raise SystemExit", f"{CHECK}x = f()\nassert x\n", "check.py:4"),
        (
            "def f():\n    raise SystemExit",
            f"{CHECK}def test():\n    x = f()\n    assert x\n\n\ntest()\n",
            "check.py:5",
        ),
        (
            "def f():\n    raise SystemExit",
            f"{CHECK}for n in (1, 2):\n    assert n\n    f()\n",
            "check.py:4",
        ),
        ("raise SystemExit", f"{CHECK}def test():\n    assert f()\n\n\ntest()\n", "check.py:7"),
        ("def f():\n    raise SystemExit", f"{CHECK}assert True\nf()\n", ""),
        ("def f():\n    return 1", f"{CHECK}import sys\nif f():\n    sys.exit(0)\nassert f()\n", ""),
        ("def f():\n    return 1", f"{CHECK}import sys\nassert f()\nsys.exit(0)\n", ""),
    ],
)
def test_assertions_that_an_exit_leaves_behind_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, check: str, place: str
) -> None:
    (tmp_path / "m_of_endings.py").write_text(f"{code}\n")
    (tmp_path / "check.py").write_text(check)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "m_of_endings", raising=False)
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(tmp_path / "check.py"), run_name="__main__")
    assert left_behind(left.value, tmp_path) == place
