"""The page that explains DRAW by DRAW: one folder or one file, without a server."""
