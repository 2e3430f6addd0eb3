"""Files that may hold pictures or sound, by the ending of their names in lower case."""

from __future__ import annotations

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".ts", ".mts", ".3gp", ".wmv", ".mpg", ".mpeg")
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".amr", ".mka", ".wma")
MEDIA_SUFFIXES = (*SOUND_SUFFIXES, *VIDEO_SUFFIXES)
