"""Which files are taken for images and for videos, by the end of their names in lower case."""

IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".dib", ".exr", ".gif", ".hdr", ".heic", ".heif", ".jfif", ".jp2", ".jpe",
    ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".ras", ".sr", ".tif", ".tiff",
    ".webp",
)  # fmt: skip
VIDEO_SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip
