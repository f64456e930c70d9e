"""The HTTP surfaces: authenticate, parse, call one service, render. Nothing is decided here."""
