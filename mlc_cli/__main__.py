"""Entry point of `python -m mlc_cli`."""

from mlc_cli.main import main

main()
