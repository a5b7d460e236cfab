"""Programs that stand in for interpreters, good and bad."""

from __future__ import annotations

import json
from pathlib import Path

from spikec.backends.lava.environment import pins

SHIM = """
echo "pyenv: python3.10: command not found" >&2
echo "The python3.10 command exists in these Python versions:" >&2
echo "  3.10.13" >&2
exit 127
"""
HANGS = "sleep 60 | cat"
NO_LAVA = """
echo "Traceback (most recent call last):" >&2
echo "ModuleNotFoundError: No module named 'lava'" >&2
exit 1
"""
CHATTERS = "echo I am no Python"
SEGFAULTS = "kill -SEGV $$"


def answer(**changes: str) -> str:
    """What an interpreter with Lava answers, with other versions of libraries."""
    libraries = {**pins(), **{name.replace("_", "-"): v for name, v in changes.items()}}
    text = json.dumps({"python": "3.10.13", "libraries": libraries})
    return f"echo Lava talks; cat <<'END'\n{text}\nEND"


def script(file: Path, body: str) -> Path:
    """An executable file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def base(file: Path, environment_answers: str, *, ensurepip: bool = True) -> Path:
    """A Python 3.10 whose environments hold an interpreter with an answer, after an install."""
    refusal = "" if ensurepip else 'case "$*" in *--without-pip*) ;; *) exit 1;; esac'
    return script(
        file,
        f"""
if [ "$1" = -c ]; then echo 3.10.13; exit; fi
{refusal}
for folder; do :; done
mkdir -p "$folder/bin"; touch "$folder/pyvenv.cfg"
cat >"$folder/bin/python" <<'SCRIPT'
#!/bin/sh
if [ "$2" = -m ]; then echo "$@" >"${{0%/bin/python}}/installed"; exit; fi
{environment_answers}
SCRIPT
chmod +x "$folder/bin/python"
""",
    )
