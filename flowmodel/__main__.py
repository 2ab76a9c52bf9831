"""`python -m flowmodel`, for multi-process launchers such as `accelerate launch`."""

from flowmodel.cli import main

if __name__ == "__main__":  # a process that another one spawns imports this file again
    main()
