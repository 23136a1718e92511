"""The question: fork a snapshot, apply a change, compute both sides, judge the difference."""
