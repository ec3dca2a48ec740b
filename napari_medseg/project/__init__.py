"""A study on disk: cases, label versions, unsaved work; nothing of it is lost."""
