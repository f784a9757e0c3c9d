"""Checkers: one file per source of truth about users."""
