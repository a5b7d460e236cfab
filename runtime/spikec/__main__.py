"""``python -m spikec``: the command line."""

from spikec.runtime.cli import main

if __name__ == "__main__":
    main()
