"""What several checkers share."""
