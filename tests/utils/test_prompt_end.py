"""A signal ends a program within seconds, with one line and the right code, whatever it is doing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

SCRIPT = """
import collections, hashlib, itertools, os, sys, time
sys.path.insert(0, {root!r})
{imports}
from pathlib import Path
from utils.interrupts import Stopped
from utils.prompt_end import PromptEnd
try:
    with PromptEnd("ended early", lambda: Path({mark!r}).write_text("cleaned"), grace={grace}):
        {work}
except Stopped as stopped:
    print("by itself")
    sys.exit(stopped.exit_code)
"""
READY = "map(os.write, [1], [b'ready\\n'])"
PYTHON = f"list({READY}); time.sleep(3600)"
HASH = "map(hashlib.pbkdf2_hmac, ['sha256'], [b''], [b''], [2**31 - 1])"
LIBRARY = f"collections.deque(itertools.chain({READY}, {HASH}), maxlen=0)"  # no Python code runs once it has said ready


@pytest.mark.parametrize(
    ("imports", "work", "grace", "signum", "out", "err"),
    [
        ("", PYTHON, 3600, signal.SIGTERM, "by itself", "ended early"),
        ("", PYTHON, 3600, signal.SIGINT, "by itself", "ended early"),
        ("from datasets.files import quiet_colmap", LIBRARY, 0.2, signal.SIGTERM, "", "ended early"),
    ],
)
def test_a_signal_ends_it(imports, work, grace, signum, out, err, tmp_path):
    root = str(Path(__file__).resolve().parents[2])
    script = SCRIPT.format(root=root, imports=imports, work=work, grace=grace, mark=str(tmp_path / "mark"))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.send_signal(signum)
    said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said[0].strip(), said[1].strip()) == (128 + signum, out, err)
    assert (tmp_path / "mark").exists() == (not out)


def test_what_listened_before_listens_again():
    script = SCRIPT.split("try:")[0] + "before = signal.getsignal(15)\nwith PromptEnd('', print):\n    pass\n"
    script += "assert signal.getsignal(15) is before and signal.set_wakeup_fd(-1) == -1"
    script = script.format(root=str(Path(__file__).resolve().parents[2]), imports="import signal")
    subprocess.run([sys.executable, "-c", script], check=True)
