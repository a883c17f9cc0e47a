"""The logs of any host, read under one set of names."""
