"""Example programs; `make` runs them."""

import signal
import sys

if sys.argv[:1] == [
    "-m"
]:  # `python -m examples...`: until the program takes signals itself, Ctrl-C just ends it
    signal.signal(signal.SIGINT, signal.SIG_DFL)
