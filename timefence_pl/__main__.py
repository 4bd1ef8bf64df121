"""``python -m timefence_pl``: the command line."""

from timefence_pl.cli.app import main

if __name__ == "__main__":
    main(prog_name="timefence-pl")
