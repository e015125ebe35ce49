"""Tests that hold what we read against the program that decides."""
