"""A signal ends a program within seconds, with one line and the right code, whatever it is doing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import hashlib, sys, time
sys.path.insert(0, {root!r})
{imports}
from pathlib import Path
from utils.interrupts import Stopped
from utils.prompt_end import PromptEnd
try:
    with PromptEnd("ended early", lambda: Path({mark!r}).write_text("cleaned"), grace=0.2):
        print("ready", flush=True)
        {work}
except Stopped as stopped:
    print("by itself")
    sys.exit(stopped.exit_code)
"""
PYTHON, LIBRARY = "time.sleep(60)", "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"


@pytest.mark.parametrize(
    ("imports", "work", "signum", "out", "err"),
    [
        ("", PYTHON, signal.SIGTERM, "by itself", "ended early"),
        ("", PYTHON, signal.SIGINT, "by itself", "ended early"),
        ("from datasets.files import quiet_colmap", LIBRARY, signal.SIGTERM, "", "ended early"),
    ],
)
def test_a_signal_ends_it(imports, work, signum, out, err, tmp_path):
    root = str(Path(__file__).resolve().parents[2])
    script = SCRIPT.format(root=root, imports=imports, work=work, mark=str(tmp_path / "mark"))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signum)
    said = process.communicate(timeout=20)
    assert (process.returncode, said[0].strip(), said[1].strip()) == (128 + signum, out, err)
    assert (tmp_path / "mark").exists() == (not out)


def test_what_listened_before_listens_again():
    script = SCRIPT.split("try:")[0] + "before = signal.getsignal(15)\nwith PromptEnd('', print):\n    pass\n"
    script += "assert signal.getsignal(15) is before and signal.set_wakeup_fd(-1) == -1"
    script = script.format(root=str(Path(__file__).resolve().parents[2]), imports="import signal")
    subprocess.run([sys.executable, "-c", script], check=True)
