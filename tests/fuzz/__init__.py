"""Fuzzing of everything that reads what a host printed."""
