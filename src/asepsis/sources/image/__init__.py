"""Disk images and the file systems in them, read without mounting (the extra ``image``)."""
