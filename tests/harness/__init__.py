"""What the end-to-end tests stand on: servers to start, raw connections, a clock that is moved, races that are held.

Tests get all of it through the fixtures of conftest.py; tests/README.md shows them.
"""
