"""`python -m draw`, which torchrun and accelerate launch use."""

from draw.cli import main

if __name__ == "__main__":
    main()
