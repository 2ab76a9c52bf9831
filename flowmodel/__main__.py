"""`python -m flowmodel`, for multi-process launchers such as `accelerate launch`."""

from flowmodel.cli import main

main()
