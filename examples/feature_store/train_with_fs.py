"""The script timefence_pl.examples.train_with_fs, which is shipped with the package so that it runs from any directory."""

from timefence_pl.examples.train_with_fs import main

if __name__ == "__main__":
    main()
