"""Runs the command line: `python -m weighbridge`."""

import sys

from weighbridge.cli import main

sys.exit(main())
