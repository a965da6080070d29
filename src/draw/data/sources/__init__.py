"""Sources of images: how pictures lie on disk or on the Hub."""
