"""One file per corpus; each scans its own tables and folders into a `Manifest`."""
