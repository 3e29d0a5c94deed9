"""`python -m model_server`: reads the command line and serves until told to stop."""

import sys

from model_server.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
