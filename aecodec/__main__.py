"""python -m aecodec"""

import sys

from aecodec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
