"""`python -m flowmodel`, which launchers of several processes can start."""

from flowmodel.cli import main

main()
