"""Our recipe: networks that check each other, and weak masks that are moved to where the scans say they belong."""
