"""`python -m actorcred.cli` is `actorcred`."""

from actorcred.cli import main

main()
