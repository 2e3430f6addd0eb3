"""`python -m foleykit` is `foley`."""

from foleykit.cli.main import main

main()
