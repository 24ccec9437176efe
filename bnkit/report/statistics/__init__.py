"""What several seeds of an arm say together."""
