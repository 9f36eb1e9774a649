"""Imports pycolmap and takes its handler of SIGTERM away, which prints a stack of C++; what was there before stays."""

import signal
import threading

from utils.packages import require

require("pycolmap")

if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)
