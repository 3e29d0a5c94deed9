"""`python -m model_server`: reads the command line and serves until told to stop."""

import sys
from collections.abc import Sequence

from model_server.errors import ServingError, StartError
from model_server.flags import parse_flags


def main(arguments: Sequence[str]) -> int:
    """Run the server until SIGTERM or SIGINT; the exit status: 0, or 1 if it could not start."""
    try:
        flags = parse_flags(arguments)
        # Imported late: TensorFlow takes seconds, which --help and a slip in a flag need not.
        from model_server.server import serve

        serve(flags)
    except (StartError, ServingError) as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
