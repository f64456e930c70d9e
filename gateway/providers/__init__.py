"""One file per vendor: its SDK in, engine types out. To add one, copy the shortest and read CONTRIBUTING.md."""
