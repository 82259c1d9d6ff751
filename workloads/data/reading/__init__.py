"""Reading image files, class folders, masks and published archives."""
