"""The command from a checkout: `python run.py` is `switchboard`; `--help` lists its flags."""

import sys

from switchboard_voice import main

if __name__ == "__main__":
    sys.exit(main())
