"""One file a family of picture formats: what it keeps of a picture, as 8-bit Pillow images or as samples."""
