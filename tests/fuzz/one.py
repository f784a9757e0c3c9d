"""Fuzz one target with atheris.

Run it as `python -m tests.fuzz.one TARGET [options of libFuzzer] [folders]`.
"""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["actorcred"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    target = TARGETS[sys.argv.pop(1)]
    logging.disable(logging.CRITICAL)

    def one_input(data: bytes) -> None:
        target.run(data)

    atheris.Setup([*sys.argv, f"-max_len={target.longest}"], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
