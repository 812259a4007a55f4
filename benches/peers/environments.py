"""A virtual environment for each peer, made on first use and kept.

They lie in `PULSEWATCH_PEERS_VENV`, or in `peers` in cargo's target folder. One whose list of packages has changed is made anew.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def home():
    named = os.environ.get("PULSEWATCH_PEERS_VENV")
    return Path(named) if named else Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "peers"


def python(peer):
    """The interpreter of a peer's environment, which is set up if it is not there yet."""
    folder = home().absolute() / peer
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = f"{sys.version}\n{(HERE / 'requirements' / f'{peer}.txt').read_text()}"
    done = folder / "installed.txt"
    if done.exists() and done.read_text() == wanted:
        return interpreter
    print(f"setting up {peer} in {folder}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [interpreter, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "-r", HERE / "requirements" / f"{peer}.txt"], check=True)
    done.write_text(wanted)
    return interpreter


if __name__ == "__main__":
    for peer in sys.argv[1:] or ("pytorch", "keras", "prophet"):
        print(python(peer))
