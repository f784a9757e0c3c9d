"""`python -m actorcred.cli` is `actorcred`."""

from actorcred.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
