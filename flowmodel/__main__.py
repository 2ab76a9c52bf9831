"""`python -m flowmodel`, for launchers of several processes such as `accelerate launch`."""

from flowmodel.cli import main

main()
