"""Checkers around checkers."""
