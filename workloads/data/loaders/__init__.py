"""Published datasets and users' folders, a file each."""
