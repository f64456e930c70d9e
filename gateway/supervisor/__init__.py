"""Everything on one machine in the foreground: starts the parts, keeps them running, replaces and drains them."""
