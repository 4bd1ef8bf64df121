"""The script timefence_pl.examples.make_features, which is shipped with the package so that it runs from any directory."""

from timefence_pl.examples.make_features import main

if __name__ == "__main__":
    main()
