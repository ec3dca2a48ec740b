"""What this program is for, in the words that stand in the window, in reports, in model cards and in the files it writes."""

RESEARCH = "For research, not a medical device"
CHECK = "Not cleared for diagnosis or treatment; a person must check every outline."
