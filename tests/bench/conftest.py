"""The benchmark is a program, not a package: its tests find its modules on the path, as it does itself."""

import sys
from pathlib import Path

HERE = str(Path(__file__).parent)

if HERE not in sys.path:
    sys.path.append(HERE)
