"""``python -m kruise_autopatch``: the command line, for the interpreter that is named."""

from kruise_autopatch.cli.main import main

if __name__ == "__main__":
    main()
